// The worker's own transactions, and the way out when the extension is gone.
#pragma once

#include "delivery/presence.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::delivery {

// Thrown when the extension was dropped: the worker has nothing to do here any more.
struct ExtensionGone {};

// Starts a transaction; `activity` is what pg_stat_activity shows. Not committed: the worker is ending and the
// server's own cleanup aborts it.
class WorkerTransaction {
 public:
  explicit WorkerTransaction(const char* activity) {
    StartTransactionCommand();
    pgstat_report_activity(STATE_RUNNING, activity);
    extension_ = pg::extension();
    if (extension_ == nullptr) throw ExtensionGone();
  }
  WorkerTransaction(const WorkerTransaction&) = delete;
  WorkerTransaction& operator=(const WorkerTransaction&) = delete;

  const pg::Extension& extension() const { return *extension_; }
  void commit() const {
    CommitTransactionCommand();
    // Before version 18 that left us in memory that is never given back.
    MemoryContextSwitchTo(context_);
    report_presence();
  }

 private:
  MemoryContext context_ = CurrentMemoryContext;
  const pg::Extension* extension_;
};

}  // namespace cache_invalidate::delivery
