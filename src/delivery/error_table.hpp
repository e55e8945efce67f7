// The rows of trigger_error_log, as the worker writes them: through the table and its indexes directly. So no trigger,
// rule or policy that somebody has put on the table runs in the worker, and it needs no privilege. A table on which such a row
// could not be written without running somebody's code (a check, an index of expressions) is not written to. Nothing
// here waits for a lock.
#pragma once

#include <cstdint>

#include "core/error_folds.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::delivery {

// In a transaction; every call may raise an error. Closed by the end of the transaction at the latest.
class ErrorTable {
 public:
  // Check problem() first.
  explicit ErrorTable(const pg::Extension& extension);
  ErrorTable(const ErrorTable&) = delete;
  ErrorTable& operator=(const ErrorTable&) = delete;

  // Why nothing can be written, or nullptr.
  const char* problem() const { return problem_; }

  // A new row; returns its number. 0: its sequence is locked.
  std::int64_t insert(const core::ErrorFold& fold);
  // Adds the occurrences to the fold's row. `gone`: there is none any more.
  enum class Outcome { done, gone, locked };
  Outcome add_occurrences(const core::ErrorFold& fold);

  // Deletes the oldest rows that began before `before`, and all but the last `most` numbers; as many as `limit` of either.
  // True: there may be more.
  bool remove_old(TimestampTz before, std::int64_t most, int limit);

  void close();

 private:
  const char* open_table(const pg::Extension& extension);
  const char* check_indexes();
  bool remove_by(Oid index, ScanKeyData* key, int limit);
  bool is_row_of(HeapTuple row, const core::ErrorFold& fold) const;
  bool lock_row(HeapTuple tuple, LockTupleMode mode, bool& is_gone);
  std::int64_t last_number();

  Relation table_ = nullptr;
  Oid sequence_ = InvalidOid;
  Oid by_id_ = InvalidOid;    // indexes; InvalidOid: somebody has dropped it
  Oid by_time_ = InvalidOid;
  const char* problem_ = nullptr;
};

}  // namespace cache_invalidate::delivery
