#include "capture/row_reader.hpp"

#include <algorithm>
#include <cstring>

#include "pg/crash_point.hpp"
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

// money heeds lc_monetary, the reg types heed the search path: only the settings machinery can pin those. It is
// slow, but so are such types rare. What it began has to be ended also when an error is swallowed.
int begin_locale() {
  const int level = NewGUCNestLevel();
  const auto set = [](const char* name, const char* value) {
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  };
  set("lc_monetary", "C");
  set("search_path", "pg_catalog");
  set("quote_all_identifiers", "off");
  return level;
}

void end_locale(int level) {
  if (level > 0) AtEOXact_GUC(true, level);
}

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
  value = {data, static_cast<std::uint32_t>(size), core::Value::State::known};
}

// Keys and messages are UTF-8 whatever the database's encoding.
void set_server_text(core::Value& value, const char* data, std::size_t size) {
  const char* converted = pg::to_utf8(data, size);
  set_text(value, converted, converted == data ? size : strlen(converted));
}

// Returns why it failed, or nullptr.
const char* call_output(const ColumnReader& reader, Datum datum, core::Value& value) {
  volatile int level = 0;
  try {
    const PinnedSettings pinned;
    pg::guarded([&] {
      if (reader.heeds_locale) level = begin_locale();
      CACHE_INVALIDATE_CRASH_POINT("capture.value", caught);
      const char* text = OutputFunctionCall(const_cast<FmgrInfo*>(&reader.output), datum);
      set_server_text(value, text, strlen(text));
      end_locale(level);
    });
    return nullptr;
  } catch (const pg::PgError& error) {
    if (must_propagate(error.data())) throw;
    const char* message = error.data()->message != nullptr ? error.data()->message : "";
    const char* problem = "a value could not be converted to text";
    pg::guarded([&] { end_locale(level); });
    try {
      pg::guarded([&] { problem = pg::to_utf8(message); });
    } catch (const pg::PgError&) {
      // The message cannot be converted either.
    }
    return problem;
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

const char* convert(const ColumnReader& reader, Datum datum, core::Value& value) {
  switch (reader.form) {
    case TextForm::int2:
      read_number(value, [datum](char* out) { return pg_ltoa(DatumGetInt16(datum), out); });
      break;
    case TextForm::int4:
      read_number(value, [datum](char* out) { return pg_ltoa(DatumGetInt32(datum), out); });
      break;
    case TextForm::int8:
      read_number(value, [datum](char* out) { return pg_lltoa(DatumGetInt64(datum), out); });
      break;
    case TextForm::text:
      read_text(datum, value);
      break;
    case TextForm::uuid:
      read_uuid(datum, value);
      break;
    case TextForm::boolean:
      set_text(value, DatumGetBool(datum) ? "t" : "f", 1);
      break;
    case TextForm::output_function:
      return call_output(reader, datum, value);
  }
  return nullptr;
}

// Does the text of such a value depend on lc_monetary, the search path or how names are quoted?
bool heeds_locale(Oid type) {
  type = getBaseType(type);
  switch (type) {
    case CASHOID:
    case REGPROCOID:
    case REGPROCEDUREOID:
    case REGOPEROID:
    case REGOPERATOROID:
    case REGCLASSOID:
    case REGCOLLATIONOID:
    case REGTYPEOID:
    case REGROLEOID:
    case REGNAMESPACEOID:
    case REGCONFIGOID:
    case REGDICTIONARYOID:
      return true;
    default:
      break;
  }
  switch (get_typtype(type)) {
    case TYPTYPE_COMPOSITE:
      return true;  // who knows what is in it
    case TYPTYPE_RANGE:
      return heeds_locale(get_range_subtype(type));
    case TYPTYPE_MULTIRANGE:
      return heeds_locale(get_multirange_range(type));
    default:
      return OidIsValid(get_element_type(type)) && heeds_locale(get_element_type(type));
  }
}

// Compares one column of two rows: by their bytes as they are, or also by the value that they stand for.
bool column_equal(AttrNumber number, TupleTableSlot* a, TupleTableSlot* b, bool by_image_only) {
  const Form_pg_attribute column = TupleDescAttr(a->tts_tupleDescriptor, number - 1);
  bool null_a, null_b;
  const Datum left = slot_getattr(a, number, &null_a);
  const Datum right = slot_getattr(b, number, &null_b);
  if (null_a || null_b) return null_a == null_b;
  // A toasted value that was not touched is the same pointer: that saves fetching it.
  return datumIsEqual(left, right, column->attbyval, column->attlen) ||
         (!by_image_only && datum_image_eq(left, right, column->attbyval, column->attlen));
}

// The stored form of a row, or nullptr where it has none.
HeapTuple stored_tuple(TupleTableSlot* slot) {
  if (TTS_IS_BUFFERTUPLE(slot)) return reinterpret_cast<BufferHeapTupleTableSlot*>(slot)->base.tuple;
  return TTS_IS_HEAPTUPLE(slot) ? reinterpret_cast<HeapTupleTableSlot*>(slot)->tuple : nullptr;
}

// What a comparison of the rows' bytes tells. Nothing where values are out of line, or one row is older than a column.
enum class Images { equal, unlike, unclear };
Images compare_images(TupleTableSlot* a, TupleTableSlot* b) {
  const HeapTuple left = stored_tuple(a);
  const HeapTuple right = stored_tuple(b);
  if (left == nullptr || right == nullptr || left->t_len != right->t_len) return Images::unclear;
  const HeapTupleHeader x = left->t_data;
  const HeapTupleHeader y = right->t_data;
  if (HeapTupleHeaderGetNatts(x) != HeapTupleHeaderGetNatts(y) || x->t_hoff != y->t_hoff) return Images::unclear;
  const std::size_t start = SizeofHeapTupleHeader;  // the null bitmap comes first
  const bool equal = std::memcmp(reinterpret_cast<char*>(x) + start, reinterpret_cast<char*>(y) + start, left->t_len - start) == 0;
  if (equal) return ((x->t_infomask ^ y->t_infomask) & HEAP_HASNULL) == 0 ? Images::equal : Images::unclear;
  return ((x->t_infomask | y->t_infomask) & HEAP_HASEXTERNAL) == 0 ? Images::unlike : Images::unclear;
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
    reader.heeds_locale = heeds_locale(column->atttypid);
  }
  return reader;
}

const char* read_value(const ColumnReader& reader, Datum datum, core::Value& value) {
  value = core::Value();
  value.state = core::Value::State::unknown;
  if (reader.length == -1 && toast_raw_datum_size(datum) > core::kLongestKey + VARHDRSZ) {
    return reader.only_field ? nullptr : "a value is longer than a key may be, 1048576 bytes";
  }
  const char* problem = convert(reader, datum, value);
  if (problem != nullptr) value.state = core::Value::State::unknown;
  return problem;
}

const char* read_column(const ColumnReader& reader, TupleTableSlot* row, core::Value& value) {
  bool is_null;
  const Datum datum = slot_getattr(row, reader.number, &is_null);
  if (!is_null) return read_value(reader, datum, value);
  value = core::Value();
  return nullptr;
}

bool same_image(AttrNumber number, TupleTableSlot* a, TupleTableSlot* b) { return column_equal(number, a, b, true); }

bool any_changed(const AttrNumber* numbers, std::size_t count, TupleTableSlot* a, TupleTableSlot* b) {
  return !std::all_of(numbers, numbers + count, [a, b](AttrNumber number) { return column_equal(number, a, b, false); });
}

CommandId made_by(TupleTableSlot* row) {
  const HeapTuple tuple = stored_tuple(row);
  const bool own = tuple != nullptr && TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmin(tuple->t_data));
  return own ? HeapTupleHeaderGetCmin(tuple->t_data) : GetCurrentCommandId(false);
}

CommandId ended_by(TupleTableSlot* row) {
  const HeapTuple tuple = stored_tuple(row);
  const bool own = tuple != nullptr && TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(tuple->t_data));
  return own ? HeapTupleHeaderGetCmax(tuple->t_data) : GetCurrentCommandId(false);
}

bool row_changed(TupleTableSlot* a, TupleTableSlot* b) {
  const Images images = compare_images(a, b);
  if (images != Images::unclear) return images == Images::unlike;
  const TupleDesc descriptor = a->tts_tupleDescriptor;
  for (AttrNumber number = 1; number <= descriptor->natts; ++number) {
    if (!TupleDescAttr(descriptor, number - 1)->attisdropped && !column_equal(number, a, b, false)) return true;
  }
  return false;
}

}  // namespace cache_invalidate::capture
