#include "admin/attach_options.hpp"

#include <string>
#include <vector>

#include "core/rule.hpp"
#include "core/template_list.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

// Their places in the call.
enum Argument : int { kKeys = 1, kPatterns, kResource, kId, kColumns, kIgnore, kFields, kPayload, kFormat, kChannel, kServers, kUnchanged, kAlways };

char* copy(const std::string& text) { return pnstrdup(text.data(), text.size()); }

[[noreturn]] void refuse_null(const char* what) {
  ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not contain nulls", what)));
}

bool is_string(Oid type) {
  char category;
  bool is_preferred;
  get_type_category_preferred(type, &category, &is_preferred);
  return category == TYPCATEGORY_STRING;
}

// The elements of an array of strings.
List* read_array(Datum datum, Oid element, const char* what) {
  int16 length;
  bool by_value;
  char alignment;
  get_typlenbyvalalign(element, &length, &by_value, &alignment);
  Datum* values;
  bool* nulls;
  int count;
  deconstruct_array(DatumGetArrayTypeP(datum), element, length, by_value, alignment, &values, &nulls, &count);
  Oid output;
  bool is_varlena;
  getTypeOutputInfo(element, &output, &is_varlena);
  List* texts = NIL;
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) refuse_null(what);
    texts = lappend(texts, OidOutputFunctionCall(output, values[i]));
  }
  return texts;
}

List* split(const char* text, const char* what) {
  std::vector<std::string> templates;
  {
    core::Result<std::vector<std::string>> parsed = core::parse_template_list(what, text);
    if (!parsed.ok()) {
      core::Error error = parsed.error();
      // The error is told in UTF-8.
      pg::guarded([&] { error.message = pg::to_utf8_anyhow(error.message.c_str()); });
      throw pg::ReportedError(error);
    }
    templates = parsed.take();
  }
  List* texts = NIL;
  for (const std::string& one : templates) {
    pg::guarded([&] { texts = lappend(texts, copy(one)); });
  }
  return texts;
}

// One text, a list in a text, or an array: the parameter is declared "any", since the literal '{task:{id}}' is no array.
List* read_templates(FunctionCallInfo fcinfo, int place, const char* what) {
  if (PG_ARGISNULL(place)) return NIL;
  const Oid type = get_fn_expr_argtype(fcinfo->flinfo, place);
  if (type == UNKNOWNOID) return split(PG_GETARG_CSTRING(place), what);
  const Oid element = OidIsValid(type) ? get_element_type(getBaseType(type)) : InvalidOid;
  if (OidIsValid(element) && is_string(element)) return read_array(PG_GETARG_DATUM(place), element, what);
  if (!OidIsValid(type) || !is_string(type)) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("argument \"%s\" must be text or an array of text, not %s", what, format_type_be(type)),
                    errhint("Write '{task:{id}}' or ARRAY['task:{id}'].")));
  }
  Oid output;
  bool is_varlena;
  getTypeOutputInfo(type, &output, &is_varlena);
  return split(OidOutputFunctionCall(output, PG_GETARG_DATUM(place)), what);
}

void add_text(FunctionCallInfo fcinfo, int place, const char* name, List** arguments) {
  if (!PG_ARGISNULL(place)) *arguments = lappend(*arguments, psprintf("%s=%s", name, text_to_cstring(PG_GETARG_TEXT_PP(place))));
}

void add_names(FunctionCallInfo fcinfo, int place, const char* what, const char* name, List** arguments) {
  const List* names = PG_ARGISNULL(place) ? NIL : read_array(PG_GETARG_DATUM(place), TEXTOID, what);
  if (names == NIL) return;
  StringInfoData text;
  initStringInfo(&text);
  const ListCell* cell;
  foreach (cell, names) appendStringInfo(&text, "%s%s", text.len == 0 ? "" : ",", static_cast<const char*>(lfirst(cell)));
  *arguments = lappend(*arguments, psprintf("%s=%s", name, text.data));
}

// With the names of the table in it.
char* named(const char* argument, const char* text, const char* schema, const char* table, bool is_glob) {
  const std::string replaced = argument + core::replace_table_names(text, schema, table, is_glob);
  char* result = nullptr;
  pg::guarded([&] { result = copy(replaced); });
  return result;
}

}  // namespace

AttachOptions read_attach_options(FunctionCallInfo fcinfo) {
  AttachOptions options{};
  options.keys = read_templates(fcinfo, kKeys, "keys");
  options.patterns = read_templates(fcinfo, kPatterns, "patterns");
  add_text(fcinfo, kResource, "resource", &options.before);
  add_text(fcinfo, kId, "id", &options.after);
  add_names(fcinfo, kColumns, "columns", "columns", &options.after);
  add_names(fcinfo, kIgnore, "ignore", "ignore", &options.after);
  add_names(fcinfo, kFields, "fields", "fields", &options.after);
  add_text(fcinfo, kPayload, "payload", &options.after);
  add_text(fcinfo, kFormat, "format", &options.after);
  add_text(fcinfo, kChannel, "channel", &options.after);
  add_names(fcinfo, kServers, "servers", "server", &options.after);
  add_text(fcinfo, kUnchanged, "unchanged", &options.after);
  options.always = !PG_ARGISNULL(kAlways) && PG_GETARG_BOOL(kAlways);
  return options;
}

List* trigger_arguments(const AttachOptions& options, const char* schema, const char* table) {
  List* arguments = list_copy(options.before);
  const ListCell* cell;
  foreach (cell, options.keys) {
    arguments = lappend(arguments, named("key=", static_cast<const char*>(lfirst(cell)), schema, table, false));
  }
  foreach (cell, options.patterns) {
    arguments = lappend(arguments, named("pattern=", static_cast<const char*>(lfirst(cell)), schema, table, true));
  }
  return list_concat(arguments, options.after);
}

void check_arguments(const List* arguments) {
  std::vector<std::string> texts;
  pg::guarded([&] {
    const ListCell* cell;
    foreach (cell, arguments) texts.emplace_back(pg::to_utf8(static_cast<const char*>(lfirst(cell))));
  });
  const core::Result<core::RuleSpec> parsed = core::parse_rule(texts);
  if (!parsed.ok()) throw pg::ReportedError(parsed.error());
}

}  // namespace cache_invalidate::admin
