#include "capture/row_reader.hpp"

#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

TextForm form_of(Oid type) {
  switch (type) {
    case INT2OID: return TextForm::int2;
    case INT4OID: return TextForm::int4;
    case INT8OID: return TextForm::int8;
    case TEXTOID:
    case VARCHAROID: return TextForm::text;
    case UUIDOID: return TextForm::uuid;
    case BOOLOID: return TextForm::boolean;
    default: return TextForm::output_function;
  }
}

// The settings that output functions heed, pinned for a moment: setting them through the settings machinery
// would cost more than all the rest of a row.
class PinnedSettings {
 public:
  PinnedSettings()
      : date_style_(DateStyle), date_order_(DateOrder), interval_style_(IntervalStyle),
        float_digits_(extra_float_digits), bytea_output_(bytea_output), time_zone_(session_timezone) {
    DateStyle = USE_ISO_DATES;
    DateOrder = DATEORDER_MDY;
    IntervalStyle = INTSTYLE_ISO_8601;
    extra_float_digits = 1;
    bytea_output = BYTEA_OUTPUT_HEX;
    session_timezone = pg_tzset("GMT");
  }
  ~PinnedSettings() {
    DateStyle = date_style_;
    DateOrder = date_order_;
    IntervalStyle = interval_style_;
    extra_float_digits = float_digits_;
    bytea_output = bytea_output_;
    session_timezone = time_zone_;
  }
  PinnedSettings(const PinnedSettings&) = delete;
  PinnedSettings& operator=(const PinnedSettings&) = delete;

 private:
  int date_style_, date_order_, interval_style_, float_digits_, bytea_output_;
  pg_tz* time_zone_;
};

// Is it the user's or the operator's wish that the statement ends? Then it is not ours to swallow.
bool must_propagate(const ErrorData* error) {
  switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
    case ERRCODE_OPERATOR_INTERVENTION:   // cancel, statement timeout, shutdown
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_SYSTEM_ERROR:
    case ERRCODE_TRANSACTION_ROLLBACK:    // serialization failure, deadlock
      return true;
    default:
      return error->elevel > ERROR || error->sqlerrcode == ERRCODE_DATA_CORRUPTED || error->sqlerrcode == ERRCODE_INDEX_CORRUPTED;
  }
}

void set_text(core::Value& value, const char* data, std::size_t size) {
  value = {data, static_cast<std::uint32_t>(size), false};
}

// Keys and messages are UTF-8 whatever the database's encoding.
void set_server_text(core::Value& value, const char* data, std::size_t size) {
  const char* converted = pg::to_utf8(data, size);
  set_text(value, converted, converted == data ? size : strlen(converted));
}

bool call_output(const ColumnReader& reader, Datum datum, core::Value& value, const char** problem) {
  try {
    const PinnedSettings pinned;
    pg::guarded([&] {
      const char* text = OutputFunctionCall(const_cast<FmgrInfo*>(&reader.output), datum);
      set_server_text(value, text, strlen(text));
    });
    return true;
  } catch (const pg::PgError& error) {
    if (must_propagate(error.data())) throw;
    const char* message = error.data()->message != nullptr ? error.data()->message : "";
    *problem = "a value could not be converted to text";
    try {
      pg::guarded([&] { *problem = pg::to_utf8(message); });
    } catch (const pg::PgError&) {
      // The message cannot be converted either.
    }
    return false;
  }
}

void read_text(Datum datum, core::Value& value) {
  text* packed = DatumGetTextPP(datum);
  set_text(value, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
}

template <typename Format>
void read_number(core::Value& value, Format format) {
  auto* buffer = static_cast<char*>(palloc(MAXINT8LEN + 1));
  set_text(value, buffer, static_cast<std::size_t>(format(buffer)));
}

void read_uuid(Datum datum, core::Value& value) {
  constexpr char kDigits[] = "0123456789abcdef";
  const pg_uuid_t* uuid = DatumGetUUIDP(datum);
  auto* buffer = static_cast<char*>(palloc(36));
  char* out = buffer;
  for (int i = 0; i < UUID_LEN; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = kDigits[uuid->data[i] >> 4];
    *out++ = kDigits[uuid->data[i] & 0xF];
  }
  set_text(value, buffer, 36);
}

bool read_column(const ColumnReader& reader, Datum datum, core::Value& value, const char** problem) {
  switch (reader.form) {
    case TextForm::int2:
      read_number(value, [datum](char* out) { return pg_ltoa(DatumGetInt16(datum), out); });
      return true;
    case TextForm::int4:
      read_number(value, [datum](char* out) { return pg_ltoa(DatumGetInt32(datum), out); });
      return true;
    case TextForm::int8:
      read_number(value, [datum](char* out) { return pg_lltoa(DatumGetInt64(datum), out); });
      return true;
    case TextForm::text:
      read_text(datum, value);
      return true;
    case TextForm::uuid:
      read_uuid(datum, value);
      return true;
    case TextForm::boolean:
      set_text(value, DatumGetBool(datum) ? "t" : "f", 1);
      return true;
    case TextForm::output_function:
      return call_output(reader, datum, value, problem);
  }
  return true;
}

}  // namespace

ColumnReader make_reader(TupleDesc descriptor, AttrNumber number, MemoryContext context) {
  const Form_pg_attribute column = TupleDescAttr(descriptor, number - 1);
  ColumnReader reader{};
  reader.number = number;
  reader.by_value = column->attbyval;
  reader.length = column->attlen;
  reader.form = form_of(getBaseType(column->atttypid));
  // A conversion may fail, as an output function may.
  if (reader.form == TextForm::text && pg::needs_conversion()) reader.form = TextForm::output_function;
  if (reader.form == TextForm::output_function) {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(column->atttypid, &function, &is_varlena);
    fmgr_info_cxt(function, &reader.output, context);
  }
  return reader;
}

bool read_row(const ColumnReader* readers, int count, TupleTableSlot* row, core::Value* values, const char** problem) {
  for (int i = 0; i < count; ++i) {
    bool is_null;
    const Datum datum = slot_getattr(row, readers[i].number, &is_null);
    values[i] = core::Value();
    if (!is_null && !read_column(readers[i], datum, values[i], problem)) return false;
  }
  return true;
}

bool same_image(const ColumnReader* readers, int count, TupleTableSlot* a, TupleTableSlot* b) {
  for (int i = 0; i < count; ++i) {
    bool null_a, null_b;
    const Datum left = slot_getattr(a, readers[i].number, &null_a);
    const Datum right = slot_getattr(b, readers[i].number, &null_b);
    if (null_a != null_b) return false;
    if (!null_a && !datumIsEqual(left, right, readers[i].by_value, readers[i].length)) return false;
  }
  return true;
}

bool any_changed(TupleDesc descriptor, const AttrNumber* numbers, std::size_t count, TupleTableSlot* a, TupleTableSlot* b) {
  for (std::size_t i = 0; i < count; ++i) {
    const Form_pg_attribute column = TupleDescAttr(descriptor, numbers[i] - 1);
    bool null_a, null_b;
    const Datum left = slot_getattr(a, numbers[i], &null_a);
    const Datum right = slot_getattr(b, numbers[i], &null_b);
    if (null_a != null_b) return true;
    if (!null_a && !datum_image_eq(left, right, column->attbyval, column->attlen)) return true;
  }
  return false;
}

}  // namespace cache_invalidate::capture
