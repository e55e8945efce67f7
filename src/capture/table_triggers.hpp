// The triggers of a table that call notify_cache_invalidation(), and for what they fire.
#pragma once

#include "core/batch.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// Ours of one table, by name, in memory of the context they were copied in: relcache's own may go away with any call.
struct TableTriggers {
  const Trigger* first = nullptr;
  int count = 0;

  const Trigger* begin() const { return first; }
  const Trigger* end() const { return first + count; }
};

// Those that notify_cache_invalidation() can work with: AFTER ... FOR EACH ROW, or AFTER TRUNCATE. Of a partition or
// a partitioned table too. May raise an error.
TableTriggers copy_our_triggers(Relation table);

// Does it fire as session_replication_role is now?
bool is_enabled(const Trigger& trigger);

// Is it for this operation? A row trigger is for TRUNCATE too.
bool is_for(const Trigger& trigger, core::Operation operation);

}  // namespace cache_invalidate::capture
