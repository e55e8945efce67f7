// ErrorWriter: what triggers could not compute, on its way to trigger_error_log. Apart from the messages, which neither
// fail nor wait because of a row that cannot be written. It also keeps the table small.
#pragma once

#include <cstdint>
#include <string>

#include "core/backoff.hpp"
#include "core/error_folds.hpp"
#include "journal/board.hpp"

namespace cache_invalidate::delivery {

class ErrorWriter {
 public:
  explicit ErrorWriter(journal::Board& board) : board_(board) {}

  // One of the batch at `position`, which began to commit at `time` (microseconds since 1970). Equal ones are folded; beyond a
  // bound the newest are not kept. Throws std::bad_alloc.
  void add(const core::ErrorRecord& error, std::int64_t time, std::uint64_t position) { folds_.add(error, time, position); }
  // Writes what is due, and removes what is old, in transactions of its own. What fails is tried again later, and after some
  // times without holding anything back.
  void write(TimestampTz now);
  // Before the worker ends: adds what was counted to the rows that are there. Waits for nobody.
  void finish();
  // The limits may have changed.
  void tidy_soon() { next_tidy_ = 0; }

  // The position of the oldest that is not written and not given up; `next` if there is none.
  std::uint64_t oldest(std::uint64_t next) const { return folds_.oldest(next); }
  TimestampTz deadline() const;

 private:
  enum class Which { due, due_and_counts, counts_of_rows };

  bool write_folds(Which which, std::string& problem);
  void note_failure(const std::string& problem, TimestampTz now);
  void tidy(TimestampTz now);

  journal::Board& board_;
  core::ErrorFolds folds_;
  int failures_ = 0;  // in a row
  core::Backoff backoff_;
  std::string told_;  // the last problem in the server log
  TimestampTz retry_at_ = 0;
  TimestampTz next_counts_ = 0;
  TimestampTz last_tidy_ = 0;
  TimestampTz next_tidy_ = 0;
};

}  // namespace cache_invalidate::delivery
