#include "capture/vocabulary.hpp"

#include <algorithm>

#include "pg/extension.hpp"
#include "pg/foreign_servers.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// Which servers the rules of some tables go to.
struct Audience {
  Oid owner;
  std::vector<std::string> names;  // empty: all
};

struct State {
  core::Vocabulary vocabulary;
  std::vector<Audience> audiences;
  std::vector<std::size_t> scope_audiences;  // one a scope
  std::vector<std::size_t> shape_audiences;  // one a shape
  std::vector<Oid> tables;                   // likewise
  bool resolved = false;  // to the end
  bool changed = false;   // since, or meanwhile
};

// Never destroyed: the server's exit handlers may still run our callbacks.
State& state() {
  static State* instance = new State();
  return *instance;
}

void on_catalog_change(Datum /*argument*/, int /*cache*/, uint32 /*hash*/) { state().changed = true; }

// May raise an error.
bool reaches(const Audience& audience, const pg::ServerRow& server) {
  const std::vector<std::string>& names = audience.names;
  if (!names.empty() && std::find(names.begin(), names.end(), pg::to_utf8_anyhow(server.name)) == names.end()) return false;
  return pg::may_use(server, audience.owner);
}

std::size_t audience_number(Oid owner, const std::vector<std::string>& names) {
  auto& audiences = state().audiences;
  for (std::size_t i = 0; i < audiences.size(); ++i) {
    if (audiences[i].owner == owner && audiences[i].names == names) return i;
  }
  audiences.push_back({owner, names});
  return audiences.size() - 1;
}

}  // namespace

std::uint32_t shape_number(const core::Shape& shape, Oid table, Oid table_owner, const std::vector<std::string>& servers) {
  State& known = state();
  const std::size_t audience = audience_number(table_owner, servers);
  auto& shapes = known.vocabulary.shapes;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (known.tables[i] == table && known.shape_audiences[i] == audience && shapes[i].says_the_same(shape)) {
      return static_cast<std::uint32_t>(i);
    }
  }
  known.tables.reserve(shapes.size() + 1);
  known.shape_audiences.reserve(shapes.size() + 1);
  shapes.push_back(shape);
  known.tables.push_back(table);
  known.shape_audiences.push_back(audience);
  known.resolved = false;
  return static_cast<std::uint32_t>(shapes.size() - 1);
}

std::uint32_t scope_number(Oid table_owner, const std::vector<std::string>& servers, const std::string& glob) {
  State& known = state();
  const std::size_t audience = audience_number(table_owner, servers);
  auto& scopes = known.vocabulary.scopes;
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    if (known.scope_audiences[i] == audience && scopes[i].glob == glob) return static_cast<std::uint32_t>(i);
  }
  known.scope_audiences.reserve(scopes.size() + 1);
  scopes.push_back({{}, glob});
  known.scope_audiences.push_back(audience);
  known.resolved = false;
  return static_cast<std::uint32_t>(scopes.size() - 1);
}

const core::Vocabulary* resolved_vocabulary() {
  State& known = state();
  // A transaction that takes no more locks does not hear by itself what others have changed since it began.
  AcceptInvalidationMessages();
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr) return nullptr;
  if (known.resolved && !known.changed) return &known.vocabulary;
  known.resolved = known.changed = false;
  const pg::ServerRows servers = pg::read_servers(extension->wrapper);
  core::Vocabulary& vocabulary = known.vocabulary;
  for (core::Scope& scope : vocabulary.scopes) scope.servers.clear();
  for (core::Shape& shape : vocabulary.shapes) shape.servers.clear();
  for (std::size_t audience = 0; audience < known.audiences.size(); ++audience) {
    for (const pg::ServerRow& server : servers) {
      if (!reaches(known.audiences[audience], server)) continue;
      for (std::size_t j = 0; j < vocabulary.scopes.size(); ++j) {
        if (known.scope_audiences[j] == audience) vocabulary.scopes[j].servers.push_back(server.oid);
      }
      for (std::size_t j = 0; j < vocabulary.shapes.size(); ++j) {
        if (known.shape_audiences[j] == audience) vocabulary.shapes[j].servers.push_back(server.oid);
      }
    }
  }
  known.resolved = true;
  return &vocabulary;
}

void watch_servers() {
  CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_catalog_change, Datum(0));
  CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, on_catalog_change, Datum(0));
  CacheRegisterSyscacheCallback(AUTHOID, on_catalog_change, Datum(0));
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_catalog_change, Datum(0));
}

}  // namespace cache_invalidate::capture
