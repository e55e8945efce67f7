#include "settle.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "database.hpp"

namespace cache_invalidate::consistency {

namespace {

constexpr Nanoseconds kPatience = 60 * kSecond;

void must(Database& database, const std::string& statement) {
  if (database.run(statement.c_str()) != Database::State::done)
    throw std::runtime_error(statement + ": " + database.message());
}

// They end by themselves: the server notices that nobody is there, at the latest when it answers.
void wait_for_sessions(Database& database) {
  const Nanoseconds begin = now();
  for (;;) {
    must(database,
         "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'consistency' AND backend_type = "
         "'client backend'"
         " AND pid <> pg_backend_pid() AND pg_sleep(0.02) IS NOT NULL");
    if (database.number() == 0) return;
    if (now() - begin > kPatience) throw std::runtime_error("sessions of clients do not end");
  }
}

}  // namespace

void settle(const Options& options) {
  Log log(options.log, "settle");
  Database database([&] { return options.database; }, [] { return false; });
  if (!database.connect()) throw std::runtime_error(database.message());
  wait_for_sessions(database);
  const std::string prefix = gid_of(0).substr(0, gid_of(0).size() - 1);
  must(database,
       "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, '" +
           prefix + "')");
  std::vector<std::string> gids;
  for (int row = 0; row < database.rows(); ++row) gids.push_back(database.value(row));
  for (const std::string& gid : gids) {
    Record record;
    record.type = RecordType::commit;
    record.number = std::strtoll(gid.c_str() + prefix.size(), nullptr, 10);
    record.begin = now();
    const bool commits = record.number % 2 == 0;
    must(database, (commits ? "COMMIT PREPARED '" : "ROLLBACK PREPARED '") + gid + "'");
    record.end = now();
    if (commits) log.add(record);
  }
  log.flush();
}

std::int64_t change_last(const Options& options, const std::string& conninfo) {
  Log log(options.log, "last" + std::to_string(options.run));
  Database database([&] { return conninfo; }, [] { return false; });
  Record record;
  record.type = RecordType::commit;
  record.kind = static_cast<std::uint8_t>(Kind::bulk);
  record.flag = static_cast<std::uint8_t>(Outcome::unknown);
  record.count = 1;
  record.number = options.run + 1;  // smaller than all tokens
  const std::string statement =
      "SELECT set_item(" + std::to_string(kBulkFirst) + ", " + std::to_string(record.number) + ")";
  record.begin = now();
  const bool is_done = database.connect() && database.run(statement.c_str()) == Database::State::done;
  record.end = now();
  if (is_done) record.flag = static_cast<std::uint8_t>(Outcome::done);
  log.add(record);
  return is_done && database.run("SELECT currval('versions')") == Database::State::done ? database.number()
                                                                                        : kNever;
}

}  // namespace cache_invalidate::consistency
