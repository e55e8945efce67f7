// Hand-over: from the committing backend to the worker. What cannot go through the ring makes the worker read
// the journal.
#pragma once

#include <cstdint>
#include <string_view>

namespace cache_invalidate::journal {

enum class HandoverKind : std::uint32_t {
  batch = 0,    // the payload is the batch
  prepared = 1, // the transaction was prepared: its batch is in the journal, for when it is committed
  // The payload is a batch that is nowhere else. The worker sees it once, here; whatever else it has taken of this
  // transaction came by the journal.
  volatile_batch = 2
};

// Before the commit, where errors are allowed: attaches to the ring if there is one. Never raises an error.
void prepare_handover() noexcept;

// Has the worker asked writers to do without the journal?
bool is_journal_full() noexcept;

// Likewise before the commit: announces the transaction, and tells whether its batch need not be journalled, since the worker
// answers for its loss and the ring has room. If the worker has not said that it does, it is asked to. Never raises an error.
bool prepare_volatile_handover(std::uint64_t xid, std::size_t payload) noexcept;

// After the commit is visible, before its locks are released. Never fails, allocates or raises an error.
// `payload`: the chunks of a batch, each behind its length (see frame_chunks()); empty: it is in the journal only. A
// volatile batch that finds no room makes the worker reset everything.
void hand_over(HandoverKind kind, std::uint64_t xid, std::uint32_t segment, std::string_view payload) noexcept;

// Wakes the worker. When the transaction has been withdrawn: what committed later may wait for that.
void end_handover() noexcept;

}  // namespace cache_invalidate::journal
