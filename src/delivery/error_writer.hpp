// ErrorWriter: what triggers could not compute, on its way to trigger_error_log. Apart from the messages, which neither
// fail nor wait because of a row that cannot be written.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/backoff.hpp"
#include "core/batch.hpp"
#include "journal/board.hpp"

namespace cache_invalidate::delivery {

class ErrorWriter {
 public:
  explicit ErrorWriter(journal::Board& board) : board_(board) {}

  // One of the batch at `position`, which began to commit at `time` (microseconds since 1970). The same is kept once a
  // minute; beyond a bound the newest are not kept. Throws std::bad_alloc.
  void add(const core::ErrorRecord& error, std::int64_t time, std::uint64_t position, TimestampTz now);
  // Writes what waits, in a transaction. One that fails is tried again later, and given up after some times.
  void write(TimestampTz now);

  // The position of the oldest that is not written; `next` if there is none.
  std::uint64_t oldest(std::uint64_t next) const { return errors_.empty() ? next : std::min(next, errors_.front().position); }
  TimestampTz deadline() const { return errors_.empty() ? DT_NOEND : retry_at_; }

 private:
  struct Waiting {
    std::string table, operation, message, context;
    std::uint64_t position;
    std::int64_t time;
  };

  bool is_repeated(const core::ErrorRecord& error, TimestampTz now);

  journal::Board& board_;
  std::vector<Waiting> errors_;  // oldest first
  int failures_ = 0;             // in a row
  core::Backoff backoff_;
  TimestampTz retry_at_ = 0;
  std::unordered_map<std::string, TimestampTz> logged_;  // when each error was last written
};

}  // namespace cache_invalidate::delivery
