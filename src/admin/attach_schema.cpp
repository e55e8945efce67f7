// enable_cache_invalidation(), disable_cache_invalidation(), and the same for all tables of a schema.
#include "admin/attach.hpp"
#include "admin/installed.hpp"
#include "capture/inheritance.hpp"
#include "pg/attempt.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::admin {
namespace {

struct SchemaTable {
  Oid oid;
  const char* name;
  int depth;  // of what it inherits from
};

int by_depth_and_name(const ListCell* left, const ListCell* right) {
  const auto* a = static_cast<const SchemaTable*>(lfirst(left));
  const auto* b = static_cast<const SchemaTable*>(lfirst(right));
  return a->depth != b->depth ? a->depth - b->depth : strcmp(a->name, b->name);
}

bool is_wanted(const Form_pg_class row, Oid schema) {
  return row->relnamespace == schema && (row->relkind == RELKIND_RELATION || row->relkind == RELKIND_PARTITIONED_TABLE) &&
         !row->relispartition && row->relpersistence != RELPERSISTENCE_TEMP &&
         !OidIsValid(getExtensionOfObject(RelationRelationId, row->oid));
}

// Parents before their children.
List* read_tables(Oid schema) {
  Relation catalog = table_open(RelationRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  List* tables = NIL;
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (!is_wanted(row, schema)) continue;
    auto* table = static_cast<SchemaTable*>(palloc(sizeof(SchemaTable)));
    *table = {row->oid, pstrdup(NameStr(row->relname)), list_length(capture::find_ancestors(row->oid))};
    tables = lappend(tables, table);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  list_sort(tables, by_depth_and_name);
  return tables;
}

Oid read_object(FunctionCallInfo fcinfo, const char* what) {
  installed_extension();
  if (PG_ARGISNULL(0)) ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what)));
  return PG_GETARG_OID(0);
}

Oid read_schema(FunctionCallInfo fcinfo) {
  const Oid schema = read_object(fcinfo, "the schema");
  if (get_namespace_name(schema) == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("schema with OID %u does not exist", schema)));
  }
  return schema;
}

// Is it because of the table, and not of the moment?
bool is_about_table(int sqlstate) {
  const int category = ERRCODE_TO_CATEGORY(sqlstate);
  return category == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION || category == ERRCODE_FEATURE_NOT_SUPPORTED ||
         category == ERRCODE_DATA_EXCEPTION;
}

// Runs `change` for the table. False: it failed for an error of a kind that `may_skip`, which the user is told.
template <typename Change, typename MaySkip>
bool run_or_skip(const SchemaTable& table, Change change, MaySkip may_skip) {
  int sqlstate = 0;
  const char* problem = pg::attempt([&] {
    try {
      pg::guarded(change);
    } catch (const pg::PgError& error) {
      sqlstate = error.data()->sqlerrcode;
      throw;
    }
  });
  if (problem == nullptr) return true;
  pg::guarded([&] {
    if (!may_skip(sqlstate)) ereport(ERROR, (errcode(sqlstate), errmsg("%s", problem), errcontext("table \"%s\"", table.name)));
    ereport(NOTICE, (errmsg("table \"%s\" is skipped: %s", table.name, problem)));
  });
  return false;
}

// Of what was dropped since the tables were listed.
bool is_about_absence(int sqlstate) { return sqlstate == ERRCODE_UNDEFINED_TABLE || sqlstate == ERRCODE_UNDEFINED_OBJECT; }

}  // namespace

CACHE_INVALIDATE_FUNCTION(enable) {
  PreventCommandIfReadOnly("enable_cache_invalidation()");
  const Oid table = read_object(fcinfo, "the table");
  PG_RETURN_BOOL(attach(table, read_attach_options(fcinfo)));
}

CACHE_INVALIDATE_FUNCTION(disable) {
  PreventCommandIfReadOnly("disable_cache_invalidation()");
  PG_RETURN_BOOL(detach(read_object(fcinfo, "the table")));
}

CACHE_INVALIDATE_FUNCTION(enable_schema) {
  PreventCommandIfReadOnly("enable_cache_invalidation_for_schema()");
  const Oid schema = read_schema(fcinfo);
  const AttachOptions options = read_attach_options(fcinfo);
  check_arguments(trigger_arguments(options, get_namespace_name(schema), "t"));
  int changed = 0;
  List* covered = NIL;
  const ListCell* cell;
  foreach (cell, read_tables(schema)) {
    const auto& table = *static_cast<const SchemaTable*>(lfirst(cell));
    if (list_member_oid(covered, table.oid)) continue;
    bool has_changed = false;
    const bool is_covered = run_or_skip(table, [&] { has_changed = attach(table.oid, options); }, is_about_table);
    if (is_covered && has_changed) ++changed;
    if (is_covered) covered = list_concat_unique_oid(covered, capture::find_descendants(table.oid));
  }
  PG_RETURN_INT32(changed);
}

CACHE_INVALIDATE_FUNCTION(disable_schema) {
  PreventCommandIfReadOnly("disable_cache_invalidation_for_schema()");
  int changed = 0;
  const ListCell* cell;
  foreach (cell, read_tables(read_schema(fcinfo))) {
    const auto& table = *static_cast<const SchemaTable*>(lfirst(cell));
    bool has_changed = false;
    if (run_or_skip(table, [&] { has_changed = detach(table.oid); }, is_about_absence) && has_changed) ++changed;
  }
  PG_RETURN_INT32(changed);
}

}  // namespace cache_invalidate::admin
