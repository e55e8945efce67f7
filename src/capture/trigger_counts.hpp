// Trigger counts: how many changes each trigger saw, and how many items were left of them, for the views.
//
// Per row it is one increment in memory of this backend; what a transaction gathered is added to the board when it has
// committed, by a few atomic additions for each trigger. What was rolled back, savepoints too, counts nothing. A transaction
// that is prepared counts when it is prepared, since who commits it later knows nothing of it. Items are told by the change set,
// see ChangeSet::take_given(): what was written to the journal early counts, also if its savepoint is rolled back later.
#pragma once

#include "capture/rule_cache.hpp"
#include "core/change_set.hpp"

namespace cache_invalidate::capture {

// A row for which the trigger was fired. `widened`: a value of it could not be told. May throw std::bad_alloc.
void count_row(const CompiledRule& rule, bool widened, int level);

// A change of the whole table that added so many items.
void count_table_change(const CompiledRule& rule, std::uint32_t items, int level);

void count_reset(int level);

// Is there anything to be counted?
bool has_counts() noexcept;

// A savepoint was rolled back, or released.
void rollback_counts(int level) noexcept;
void release_counts(int level) noexcept;

// At the commit: adds everything to the board, if this backend is attached to it. What the rules' sources gave is taken
// out of the change set, so that a rule that was compiled anew meanwhile counts once. Never fails, allocates or waits.
void publish_counts(core::ChangeSet& changes) noexcept;

// At the end of every transaction, while its rules are there.
void forget_counts() noexcept;

// The trigger that a partition's was cloned from, at the top; any other trigger itself: the one that views show. By the catalog,
// without locking the tables. May raise an error.
struct RootTrigger {
  Oid oid;
  Oid table;
  const char* name;
};
RootTrigger find_root_trigger(Relation table, const Trigger& trigger);

}  // namespace cache_invalidate::capture
