#include "delivery/target_catalog.hpp"

#include "pg/foreign_servers.hpp"
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
  const Oid extension_owner = extension.owner;
  for (const pg::ServerRow& server : pg::read_servers(extension.wrapper)) {
    targets.emplace_back();
    TargetDefinition& target = targets.back();
    target.server = server.oid;
    target.name = server.name;
    copy_options(server.options, target.server_options);
    if (!read_mapping(GetSessionUserId(), server.oid, target.mapping_options) &&
        !read_mapping(extension_owner, server.oid, target.mapping_options) &&
        !read_mapping(server.owner, server.oid, target.mapping_options)) {
      read_mapping(InvalidOid, server.oid, target.mapping_options);
    }
  }
}

}  // namespace cache_invalidate::delivery
