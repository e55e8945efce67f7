// Sweep: finds the keys that match patterns and deletes them, by SCAN in small slices, so that no slice holds a
// Redis for long and exact keys go in between. A key that existed when the sweep of its pattern began is
// gone at its end; SCAN guarantees that much while keys come and go.
//
// Knows nothing of the server. Used by one target, over its connection.
#pragma once

#include <string>
#include <string_view>

#include "core/pending_keys.hpp"
#include "redis/connection.hpp"

namespace cache_invalidate::delivery {

class Sweep {
 public:
  // The patterns owed, with the positions of their batches.
  core::PendingKeys& patterns() { return patterns_; }
  const core::PendingKeys& patterns() const { return patterns_; }

  // Appends the next SCAN if the last one was answered; how many it appended, 0 or 1. Starts on what was
  // collected when nothing is in flight.
  std::uint32_t send(redis::Connection& connection, std::string_view key_prefix);

  // The answer to a SCAN: appends the deletes of what it found, returns how many commands that were. False in
  // `understood`: it is no answer to a SCAN.
  std::uint32_t take(const redis::Reply& reply, redis::Connection& connection, bool use_del, bool& understood);

  // One of those deletes was answered.
  void note_deleted();

  // The connection is gone: everything in flight is owed again, from the beginning.
  void put_back();

 private:
  core::PendingKeys patterns_;
  std::string cursor_;        // empty: the pattern has not been begun
  std::uint32_t current_ = 0; // of the patterns in flight
  bool waiting_ = false;      // for the answer to a SCAN
  std::uint32_t deletes_ = 0; // not answered yet

  void finish_if_done();
};

}  // namespace cache_invalidate::delivery
