#include "capture/vocabulary.hpp"

#include <algorithm>

#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

struct ScopeRequest {
  Oid owner;
  std::vector<std::string> servers;  // empty: all
};

struct State {
  core::Vocabulary vocabulary;
  std::vector<ScopeRequest> requests;  // one a scope
  std::vector<Oid> tables;             // one a shape
  bool resolved = false;
};

// Never destroyed: the server's exit handlers may still run our callbacks.
State& state() {
  static State* instance = new State();
  return *instance;
}

void on_catalog_change(Datum /*argument*/, int /*cache*/, uint32 /*hash*/) { state().resolved = false; }

struct Server {
  Oid oid;
  const char* name;  // UTF-8, as in rules
};

// The extension's servers, in palloc'd memory.
Server* read_servers(Oid wrapper, int* count) {
  Relation catalog = table_open(ForeignServerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  int room = 8;
  auto* servers = static_cast<Server*>(palloc(sizeof(Server) * static_cast<Size>(room)));
  *count = 0;
  while (HeapTuple tuple = systable_getnext(scan)) {
    auto* row = reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple));
    if (row->srvfdw != wrapper) continue;
    if (*count == room) {
      room *= 2;
      servers = static_cast<Server*>(repalloc(servers, sizeof(Server) * static_cast<Size>(room)));
    }
    servers[(*count)++] = {row->oid, pg::to_utf8_anyhow(pstrdup(NameStr(row->srvname)))};
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return servers;
}

}  // namespace

std::uint32_t shape_number(const core::Shape& shape, Oid table) {
  auto& shapes = state().vocabulary.shapes;
  auto& tables = state().tables;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (tables[i] == table && shapes[i] == shape) return static_cast<std::uint32_t>(i);
  }
  tables.reserve(tables.size() + 1);
  shapes.push_back(shape);
  tables.push_back(table);
  return static_cast<std::uint32_t>(shapes.size() - 1);
}

std::uint32_t scope_number(Oid table_owner, const std::vector<std::string>& servers) {
  auto& requests = state().requests;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].owner == table_owner && requests[i].servers == servers) return static_cast<std::uint32_t>(i);
  }
  requests.push_back({table_owner, servers});
  state().vocabulary.scopes.emplace_back();
  state().resolved = false;
  return static_cast<std::uint32_t>(requests.size() - 1);
}

const core::Vocabulary& resolved_vocabulary(Oid wrapper) {
  State& known = state();
  if (known.resolved) return known.vocabulary;
  int count;
  const Server* servers = read_servers(wrapper, &count);
  // Set first: what changes while we look makes it false again.
  known.resolved = true;
  for (std::size_t i = 0; i < known.requests.size(); ++i) {
    known.vocabulary.scopes[i].clear();
    for (int j = 0; j < count; ++j) {
      const std::vector<std::string>& names = known.requests[i].servers;
      if (!names.empty() && std::find(names.begin(), names.end(), servers[j].name) == names.end()) continue;
      if (!pg::may_use_server(servers[j].oid, known.requests[i].owner)) continue;
      known.vocabulary.scopes[i].push_back(servers[j].oid);
    }
    // The catalog has no order.
    std::sort(known.vocabulary.scopes[i].begin(), known.vocabulary.scopes[i].end());
  }
  return known.vocabulary;
}

void watch_servers() {
  CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_catalog_change, Datum(0));
  CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, on_catalog_change, Datum(0));
  CacheRegisterSyscacheCallback(AUTHOID, on_catalog_change, Datum(0));
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_catalog_change, Datum(0));
}

}  // namespace cache_invalidate::capture
