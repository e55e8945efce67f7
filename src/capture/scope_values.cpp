#include "capture/scope_values.hpp"

#include "capture/row_reader.hpp"

namespace cache_invalidate::capture {
namespace {

// Only a superuser makes base types. `type` is no domain.
bool calls_nobody(Oid type) {
  const Oid element = get_element_type(type);
  switch (get_typtype(OidIsValid(element) ? element : type)) {
    case TYPTYPE_BASE:
    case TYPTYPE_ENUM:
      return true;
    case TYPTYPE_RANGE:
    case TYPTYPE_MULTIRANGE:
      return type < FirstNormalObjectId;
    default:
      return false;
  }
}

// nullptr: it has none that could be one of the type.
char* text_of(const JsonbValue& member, Oid type) {
  if (type == JSONBOID) {
    Jsonb* whole = JsonbValueToJsonb(const_cast<JsonbValue*>(&member));
    return JsonbToCString(nullptr, &whole->root, VARSIZE(whole));
  }
  switch (member.type) {
    case jbvString:
      return pnstrdup(member.val.string.val, static_cast<Size>(member.val.string.len));
    case jbvNumeric:
      return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(member.val.numeric)));
    case jbvBool:
      return pstrdup(member.val.boolean ? "true" : "false");
    default:
      return nullptr;
  }
}

}  // namespace

core::Value read_scope_value(Relation table, AttrNumber column, Jsonb* object) {
  core::Value value;
  const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), column - 1);
  const char* name = NameStr(attribute->attname);
  const JsonbValue* member = getKeyJsonValueFromContainer(&object->root, name, static_cast<int>(strlen(name)), nullptr);
  if (member != nullptr && member->type == jbvNull) return value;
  value.state = core::Value::State::unknown;
  int32 modifier = attribute->atttypmod;
  const Oid type = getBaseTypeAndTypmod(attribute->atttypid, &modifier);
  // json keeps the spaces that somebody wrote.
  if (member == nullptr || type == JSONOID || !calls_nobody(type)) return value;
  char* text = text_of(*member, type);
  if (text == nullptr) return value;
  Oid input, parameter;
  getTypeInputInfo(type, &input, &parameter);
  const Datum datum = OidInputFunctionCall(input, text, parameter, modifier);
  const ColumnReader reader = make_reader(RelationGetDescr(table), column, CurrentMemoryContext);
  read_value(reader, datum, value);
  return value;
}

}  // namespace cache_invalidate::capture
