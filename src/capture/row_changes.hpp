// What a change of a row, or of a whole table, makes stale by a rule: adds it to a change set.
//
// Used by the trigger, by what watches DDL, and by explain_cache_invalidation(). No SQL, no subtransaction, and no
// allocation of ours in the steady state. What cannot be computed is widened, and why becomes an error record.
#pragma once

#include "capture/rule_cache.hpp"
#include "core/change_set.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

struct RowChange {
  core::Operation operation;
  TupleTableSlot* before;  // nullptr of an INSERT
  TupleTableSlot* after;   // nullptr of a DELETE
};

// Returns whether something was widened because a value can't be told. May raise an error: cancel, memory, and what a
// look-up meets.
bool note_row(const CompiledRule& rule, const RowChange& change, core::ChangeSet& changes, int level);

// Which rows changed cannot be told: everything that the rule could ever name is stale. Returns how many items that
// added.
std::uint32_t note_table(const CompiledRule& rule, core::Operation operation, core::ChangeSet& changes, int level);

}  // namespace cache_invalidate::capture
