// ErrorFolds: floods of equal errors become one row and a count. The first is due at once, the same ones behind it are
// counted for the row of the first; after an hour a new row begins.
//
// Equal: context, operation and message. Bounded: beyond kMost different ones the newest are not kept. The clock is an
// argument, what is written is the caller's affair: it takes what is due, and says afterwards what became of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/batch.hpp"

namespace cache_invalidate::core {

// Times are in microseconds since 1970.
struct ErrorFold {
  std::string table, operation, message, context;
  std::int64_t row = 0;        // its number in the log; 0: it has none yet
  std::int64_t began = 0;      // when the row's first one occurred
  std::uint64_t count = 0;     // occurrences that the log does not have yet
  std::int64_t first = 0;      // of these
  std::int64_t last = 0;
  std::uint64_t position = 0;  // of the batch with the oldest that no row stands for; 0: it may be forgotten
  bool open = true;            // more of them may come
};

class ErrorFolds {
 public:
  static constexpr std::size_t kMost = 10000;
  static constexpr std::int64_t kLifetime = 3600 * std::int64_t{1000000};

  // `position` is not 0. Throws std::bad_alloc.
  void add(const ErrorRecord& error, std::int64_t time, std::uint64_t position);

  // Those without a row, oldest first; with `counts` also those whose row lacks some. Valid until the next add() or
  // settle().
  std::vector<ErrorFold*> due(bool counts, std::size_t most);
  bool has_new() const { return without_row_ > 0; }
  bool has_counts() const { return counted_ > 0; }

  // `fold` of due() was written: its row is `row`.
  void note_written(ErrorFold& fold, std::int64_t row);
  // Those without a row wait on, but no longer for the sake of their batch: a crash loses them.
  void release();
  // After it was written: drops what is over.
  void settle(std::int64_t now);

  // The position of the oldest batch that must not be forgotten; `next` if there is none.
  std::uint64_t oldest(std::uint64_t next) const;

 private:
  using Folds = std::list<ErrorFold>;

  ErrorFold* find_open(const std::string& identity, std::int64_t time);
  void make_room();
  void close(ErrorFold& fold);

  Folds folds_;  // by their first occurrence
  std::unordered_map<std::string, Folds::iterator> open_;
  std::size_t without_row_ = 0;
  std::size_t counted_ = 0;  // that have a row, which lacks some
  std::size_t held_ = 0;     // that have a position
};

}  // namespace cache_invalidate::core
