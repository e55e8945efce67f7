// Sweep: finds the keys that match patterns and deletes them, by SCAN in small slices, so that no slice holds a
// Redis for long and exact keys go in between. Several patterns are looked for in one pass over the keys. A key that
// existed when the pass of its pattern began is gone at its end; SCAN guarantees that much while keys come and go.
// Patterns that come meanwhile wait for the next pass.
//
// Knows nothing of the server. Used by one target, over its connection.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/glob.hpp"
#include "core/pending_patterns.hpp"
#include "redis/connection.hpp"

namespace cache_invalidate::delivery {

class Sweep {
 public:
  // Looked for in one pass: what is compared with each key.
  static constexpr std::size_t kPatternsPerPass = 100;

  // What stands before each key, and between that and the key for its lease; empty: none.
  struct Prefixes {
    std::string_view key;
    std::string_view lease;
  };
  struct Sent {
    bool size = false;  // the size of the keyspace was asked for, before the scan
    bool scan = false;
  };

  // The patterns owed, which outlive it. It makes them depart and arrive.
  explicit Sweep(core::PendingPatterns& patterns) : patterns_(patterns) {}

  // Appends the next SCAN if the last one was answered. Starts on what was collected when nothing is in flight.
  Sent send(redis::Connection& connection, Prefixes prefixes);

  // The answer to the question for the size; an error if the user may not ask.
  void take_size(const redis::Reply& reply);

  // The answer to a SCAN: appends the deletes of what it found; in `deletes` how many keys each of them names. False:
  // it is no answer to a SCAN.
  bool take(const redis::Reply& reply, redis::Connection& connection, Prefixes prefixes, bool use_del,
            std::vector<std::uint32_t>& deletes);

  // The oldest of those deletes was answered.
  void note_deleted();
  bool has_deletes() const { return !deletes_.empty(); }
  // It was refused because of one of its keys: appends a delete for each of them, the newest now.
  void single_out(redis::Connection& connection, Prefixes prefixes, bool use_del);

  // The connection is gone: everything in flight is owed again, from the beginning.
  void put_back();

  // Of the pass that runs: about how many keys were looked at, of how many when it began, if that is known.
  bool is_running() const { return patterns_.in_flight() > 0; }
  std::uint64_t scanned() const { return total_ ? std::min(scanned_, *total_) : scanned_; }
  std::optional<std::uint64_t> total() const { return total_; }

 private:
  struct Wanted {
    core::Glob glob;
    std::size_t prefix;  // bytes before the key itself
  };

  core::PendingPatterns& patterns_;
  std::vector<Wanted> wanted_;  // of this pass; leases first
  std::string match_;           // what is asked for
  bool filters_ = false;        // it is broader than the patterns
  std::string cursor_;          // as the server gave it
  bool scanned_all_ = false;
  bool waiting_ = false;        // for the answer to a SCAN
  std::deque<std::vector<std::string>> deletes_;  // not answered yet, oldest first
  std::uint64_t scanned_ = 0;
  std::optional<std::uint64_t> total_;

  void begin_pass(Prefixes prefixes);
  std::string_view key_of(std::string_view found) const;
  void finish_if_done();
};

}  // namespace cache_invalidate::delivery
