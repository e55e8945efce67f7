#include "delivery/worker_role.hpp"

#include <string>
#include <unordered_map>

#include "pg/privileges.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

// What was said last, for a database; what is wrong with the role itself is said for all of them, under InvalidOid.
struct Told {
  journal::Obstacle obstacle;
  std::string role;
};
std::unordered_map<Oid, Told>* told = nullptr;

// True: it was not said yet.
bool is_news(Oid database, journal::Obstacle obstacle) {
  if (told == nullptr) told = new std::unordered_map<Oid, Told>();
  Told& last = (*told)[database];
  if (last.obstacle == obstacle && last.role == settings::worker_role) return false;
  last = {obstacle, settings::worker_role};
  return true;
}

void complain(Oid database, journal::Obstacle obstacle) {
  const char* role = settings::worker_role;
  switch (obstacle) {
    case journal::Obstacle::no_role:
      if (!is_news(InvalidOid, obstacle)) return;
      ereport(LOG, (errmsg("cache_invalidate: no worker can be started: role \"%s\" does not exist", role),
                    errhint("Create it, with LOGIN, or set cache_invalidate.worker_role to another role.")));
      return;
    case journal::Obstacle::may_not_log_in:
      if (!is_news(InvalidOid, obstacle)) return;
      ereport(LOG, (errmsg("cache_invalidate: no worker can be started: role \"%s\" is not permitted to log in", role),
                    errhint("ALTER ROLE %s LOGIN, or set cache_invalidate.worker_role to another role.", quote_identifier(role))));
      return;
    case journal::Obstacle::may_not_connect: {
      if (!is_news(database, obstacle)) return;
      const char* name = get_database_name(database);
      if (name == nullptr) return;
      ereport(LOG, (errmsg("cache_invalidate: no worker can be started in database \"%s\": role \"%s\" may not connect to it", name, role),
                    errhint("GRANT CONNECT ON DATABASE %s TO %s, or set cache_invalidate.worker_role to another role.",
                            quote_identifier(name), quote_identifier(role))));
      return;
    }
    case journal::Obstacle::none:
    case journal::Obstacle::no_process:
      return;
  }
}

WorkerRole look_up(Oid database) {
  HeapTuple tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(settings::worker_role));
  if (!HeapTupleIsValid(tuple)) return {InvalidOid, journal::Obstacle::no_role};
  auto* row = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple));
  const Oid role = row->oid;
  const bool may_log_in = row->rolcanlogin || !pg::kWorkersNeedLogin;
  ReleaseSysCache(tuple);
  if (!may_log_in) return {role, journal::Obstacle::may_not_log_in};
  return {role, pg::may_connect(database, role) ? journal::Obstacle::none : journal::Obstacle::may_not_connect};
}

}  // namespace

WorkerRole find_worker_role(Oid database) {
  if (settings::worker_role[0] == '\0') return {InvalidOid, journal::Obstacle::none};
  StartTransactionCommand();
  const WorkerRole found = look_up(database);
  complain(database, found.obstacle);
  // So that it is said again when it comes again.
  if (told != nullptr && found.obstacle == journal::Obstacle::none) {
    told->erase(database);
    told->erase(InvalidOid);
  } else if (told != nullptr && found.obstacle == journal::Obstacle::may_not_connect) {
    told->erase(InvalidOid);
  }
  CommitTransactionCommand();
  return found;
}

}  // namespace cache_invalidate::delivery
