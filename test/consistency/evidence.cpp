#include "evidence.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "cache.hpp"
#include "database.hpp"

namespace cache_invalidate::consistency {

namespace {

constexpr const char* kRowsAtOnce = "20000";

void take_commit(const Record& record, Evidence& evidence) {
  const auto outcome = static_cast<Outcome>(record.flag);
  ++evidence.outcomes[record.kind][record.flag];
  if (outcome == Outcome::refused) return;
  evidence.commits.note(record.number, record.begin, outcome == Outcome::done ? record.end : kNever);
  if (outcome == Outcome::done && record.count > 0) evidence.changing.push_back(record.number);
}

void must(Database& database, const char* statement, const std::vector<std::string>& parameters = {}) {
  if (database.run(statement, parameters) != Database::State::done)
    throw std::runtime_error(database.message());
}

std::optional<CachedKey> parse_key(const std::string& key, const std::string& text) {
  const std::size_t colon = key.find(':');
  const std::size_t number = key.rfind(':') + 1;
  const std::optional<CachedValue> value = parse_value(text);
  if (colon == std::string::npos || !value) return std::nullopt;
  for (int protocol = 0; protocol < kProtocols; ++protocol) {
    if (key.compare(0, colon, name_of(static_cast<Protocol>(protocol))) != 0) continue;
    return CachedKey{static_cast<Protocol>(protocol), std::strtoll(key.c_str() + number, nullptr, 10),
                     value->version, value->fill};
  }
  return std::nullopt;
}

}  // namespace

void load_logs(const std::string& folder, Evidence& evidence) {
  read_logs(folder, [&evidence](const Record& record) {
    if (record.type == RecordType::commit) take_commit(record, evidence);
    if (record.type == RecordType::message) evidence.messages.push_back(record);
    if (record.type == RecordType::gap) evidence.gaps[record.protocol].push_back({record.begin, record.end});
    if (record.type != RecordType::gap) evidence.begin = std::min(evidence.begin, record.begin);
  });
  std::stable_sort(evidence.messages.begin(), evidence.messages.end(),
                   [](const Record& one, const Record& other) { return one.begin < other.begin; });
}

void load_history(const std::string& conninfo, Evidence& evidence) {
  Database database([&] { return conninfo; }, [] { return false; });
  if (!database.connect()) throw std::runtime_error(database.message());
  must(database, "BEGIN ISOLATION LEVEL REPEATABLE READ");
  must(database,
       "SELECT count(*) FROM (SELECT id, version FROM item UNION ALL SELECT id, version FROM parted) r"
       " FULL JOIN (SELECT DISTINCT ON (id) id, version, is_removal FROM history ORDER BY id, version DESC) "
       "h ON r.id = h.id"
       " WHERE r.version IS DISTINCT FROM CASE WHEN NOT h.is_removal THEN h.version END");
  evidence.differing = database.number();
  must(database, "DECLARE h CURSOR FOR SELECT id, version, token, is_removal FROM history");
  do {
    must(database, (std::string("FETCH ") + kRowsAtOnce + " FROM h").c_str());
    for (int row = 0; row < database.rows(); ++row) {
      Change change{database.number(row, 0),
                    database.number(row, 1),
                    database.number(row, 2),
                    *database.value(row, 3) == 't',
                    false,
                    {}};
      change.commit = change.token == 0 ? CommitTimes{0, 0} : evidence.commits.times(change.token);
      evidence.history.add(change);
    }
  } while (database.rows() > 0);
  evidence.history.seal();
}

void load_keys(const std::string& address, Evidence& evidence) {
  Cache cache(address);
  if (!cache.connect()) throw std::runtime_error("cannot connect to " + address);
  std::string cursor = "0";
  do {
    const Answer page = cache.command({"SCAN", cursor, "COUNT", "1000"});
    if (page.kind != Answer::Kind::list) throw std::runtime_error(address + " does not answer: " + page.text);
    cursor = page.list[0].text;
    std::vector<std::string> names, words{"MGET"};
    for (const Answer& name : page.list[1].list) {
      if (name.text.compare(0, 6, "lease:") != 0) names.push_back(name.text);
    }
    if (names.empty()) continue;
    words.insert(words.end(), names.begin(), names.end());
    const Answer values = cache.command(words);
    if (values.kind != Answer::Kind::list)
      throw std::runtime_error(address + " does not answer: " + values.text);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (values.list[i].kind == Answer::Kind::nil) continue;  // ran out
      const std::optional<CachedKey> key = parse_key(names[i], values.list[i].text);
      if (key) evidence.keys.push_back(*key);
      if (!key) ++evidence.unreadable;
    }
  } while (cursor != "0");
  // SCAN may tell a key twice.
  const auto order = [](const CachedKey& one, const CachedKey& other) {
    return one.protocol != other.protocol ? one.protocol < other.protocol : one.id < other.id;
  };
  const auto is_same = [](const CachedKey& one, const CachedKey& other) {
    return one.protocol == other.protocol && one.id == other.id;
  };
  std::sort(evidence.keys.begin(), evidence.keys.end(), order);
  evidence.keys.erase(std::unique(evidence.keys.begin(), evidence.keys.end(), is_same), evidence.keys.end());
}

std::vector<Fault> load_faults(const std::string& file) {
  std::vector<Fault> faults;
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    Fault fault;
    if (!(words >> fault.begin >> fault.end >> fault.name))
      throw std::runtime_error(file + " has the line \"" + line + "\"");
    faults.push_back(fault);
  }
  return faults;
}

}  // namespace cache_invalidate::consistency
