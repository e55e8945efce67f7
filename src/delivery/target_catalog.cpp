#include "delivery/target_catalog.hpp"

#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

// False: there is no such mapping.
bool read_mapping(Oid user, Oid server, std::vector<OptionText>& out) {
  HeapTuple tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server));
  if (!HeapTupleIsValid(tuple)) return false;
  bool is_null;
  const Datum options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &is_null);
  if (!is_null) copy_options(untransformRelOptions(options), out);
  ReleaseSysCache(tuple);
  return true;
}

}  // namespace

void copy_options(List* options, std::vector<OptionText>& out) {
  ListCell* cell;
  foreach (cell, options) {
    auto* option = static_cast<DefElem*>(lfirst(cell));
    const char* name = pg::to_utf8_anyhow(option->defname);
    out.push_back({name, pg::to_utf8_anyhow(defGetString(option))});
  }
}

void read_targets(const pg::Extension& extension, std::vector<TargetDefinition>& targets) {
  targets.clear();
  const Oid wrapper = extension.wrapper;
  const Oid owner = extension.owner;
  Relation catalog = table_open(ForeignServerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    auto* row = reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple));
    if (row->srvfdw != wrapper) continue;
    const ForeignServer* server = GetForeignServer(row->oid);
    targets.emplace_back();
    TargetDefinition& target = targets.back();
    target.server = server->serverid;
    target.name = server->servername;
    copy_options(server->options, target.server_options);
    if (!read_mapping(GetSessionUserId(), server->serverid, target.mapping_options) &&
        !read_mapping(owner, server->serverid, target.mapping_options) &&
        !read_mapping(server->owner, server->serverid, target.mapping_options)) {
      read_mapping(InvalidOid, server->serverid, target.mapping_options);
    }
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
}

}  // namespace cache_invalidate::delivery
