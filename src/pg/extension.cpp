#include "pg/extension.hpp"

#include <cstdint>

namespace cache_invalidate::pg {
namespace {

constexpr const char* kName = "cache_invalidate";
constexpr const char* kTriggerFunction = "notify_cache_invalidation";

Extension known;
bool is_known = false;
std::uint64_t changes = 0;  // heard of, by which it may have become another

// Marks only: a callback may not touch the catalogs.
void on_relation_change(Datum /*argument*/, Oid relation) {
  if (!is_known || relation == InvalidOid || relation == known.journal[0] || relation == known.journal[1]) {
    is_known = false;
    ++changes;
  }
}

bool read_catalog_row(Oid oid, Extension& found) {
  Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionOidIndexId, true, nullptr, 1, &key);
  HeapTuple tuple = systable_getnext(scan);
  const bool exists = HeapTupleIsValid(tuple);
  if (exists) {
    auto* row = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple));
    found.oid = oid;
    found.owner = row->extowner;
    found.schema = row->extnamespace;
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return exists;
}

}  // namespace

const Extension* extension() {
  if (is_known) return &known;
  const std::uint64_t before = changes;
  const Oid oid = get_extension_oid(kName, true);
  Extension found{};
  if (!OidIsValid(oid) || !read_catalog_row(oid, found)) return nullptr;
  found.journal[0] = get_relname_relid("cache_invalidation_journal_0", found.schema);
  found.journal[1] = get_relname_relid("cache_invalidation_journal_1", found.schema);
  found.error_log = get_relname_relid("trigger_error_log", found.schema);
  found.pauses = get_relname_relid("cache_invalidation_pauses", found.schema);
  found.wrapper = get_foreign_data_wrapper_oid(kName, true);
  // All are there, or the script is still running.
  if (!OidIsValid(found.journal[0]) || !OidIsValid(found.journal[1]) || !OidIsValid(found.error_log) ||
      !OidIsValid(found.pauses) || !OidIsValid(found.wrapper)) {
    return nullptr;
  }
  known = found;
  // What was changed while we looked may be known by half: it does for now, and is looked up again the next time.
  is_known = changes == before;
  return &known;
}

const char* quoted_schema(const Extension& extension) {
  const char* name = get_namespace_name(extension.schema);
  if (name == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("the schema of extension \"%s\" was dropped", kName),
                    errhint("Make the extension anew: CREATE EXTENSION %s.", kName)));
  }
  return quote_identifier(name);
}

bool is_trigger_function(Oid function) {
  const Extension* own = extension();
  if (own == nullptr) return false;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const bool is_ours = row->pronamespace == own->schema && strcmp(NameStr(row->proname), kTriggerFunction) == 0;
  ReleaseSysCache(tuple);
  return is_ours;
}

void watch_extension() { CacheRegisterRelcacheCallback(on_relation_change, Datum(0)); }

}  // namespace cache_invalidate::pg
