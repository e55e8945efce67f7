// Hand-over: from the committing backend to the worker. What cannot go through the ring makes the worker read
// the journal.
#pragma once

#include <cstdint>
#include <string_view>

namespace cache_invalidate::journal {

enum class HandoverKind : std::uint32_t {
  batch = 0,    // the payload is the batch
  prepared = 1  // the transaction was prepared: its batch is in the journal, for when it is committed
};

// Before the commit, where errors are allowed: attaches to the ring if there is one. Never raises an error.
void prepare_handover() noexcept;

// After the commit is visible, before its locks are released. Never fails, allocates or raises an error.
// `payload`: the chunks of a batch, each behind its length (see frame_chunks()); empty: it is in the journal only.
void hand_over(HandoverKind kind, std::uint64_t xid, std::uint32_t segment, std::string_view payload) noexcept;

}  // namespace cache_invalidate::journal
