// The transaction of this backend: its change set, and what happens to it when the transaction ends.
//
//   trigger          changes() grows; beyond its memory limit it is written to the journal early
//   savepoint ends   the change set takes back, or passes up, what the savepoint added
//   PRE_COMMIT       encoded once, journalled (PRE_PREPARE likewise)
//                    With cache_invalidate.durability = off, and if the worker allows it: encoded, not journalled
//   COMMIT           the same bytes go to the worker; the commit is visible, its locks are still held
//   ABORT            forgotten
#pragma once

#include "core/change_set.hpp"

namespace cache_invalidate::capture {

// Something was noted, here or elsewhere in capture, that ends with the transaction. Most transactions fire no trigger: their end
// shall not cost a look at all that could be left.
void note_use() noexcept;

// For adding to it.
core::ChangeSet& changes();

// After adding to changes(): bounds its memory, and sees to it that what another extension's commit
// callback changes after ours has run is journalled too. May raise an error.
void changes_added();

// The batch of this transaction is journalled, whatever cache_invalidate.durability says.
void require_journal() noexcept;

// Once a process, from _PG_init.
void watch_transactions();

}  // namespace cache_invalidate::capture
