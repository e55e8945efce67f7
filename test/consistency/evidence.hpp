// What the judge has before it: the clients' logs, what the database has committed, and what the caches hold
// in the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "log.hpp"
#include "verdict.hpp"

namespace cache_invalidate::consistency {

struct CachedKey {
  Protocol protocol = Protocol::plain;
  std::int64_t id = 0;
  std::int64_t version = 0;
  std::int64_t fill = 0;
};

struct Evidence {
  Commits commits;
  History history;
  std::vector<Record> messages;
  std::vector<Gap> gaps[2];  // by Channel
  std::int64_t outcomes[kKinds][3] = {};
  std::vector<std::int64_t> changing;  // tokens that were acknowledged and changed something
  std::int64_t differing = 0;          // rows whose version is not the newest of the history
  std::vector<CachedKey> keys;
  std::int64_t unreadable = 0;  // keys that hold what no client has stored
  Nanoseconds begin = kNever;   // the first that was noted
};

// All but reads and fills, which are too many to be kept.
void load_logs(const std::string& folder, Evidence& evidence);
// After the logs. Throws std::runtime_error, as all of them.
void load_history(const std::string& conninfo, Evidence& evidence);
void load_keys(const std::string& address, Evidence& evidence);
std::vector<Fault> load_faults(const std::string& file);

}  // namespace cache_invalidate::consistency
