#include "journal/handover.hpp"

#include "journal/board.hpp"
#include "pg/clock.hpp"
#include "pg/crash_point.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::journal {

void prepare_handover() noexcept {
  if (attached_board() != nullptr || find_slot(MyDatabaseId) == nullptr) return;
  try {
    pg::guarded([] {
      CACHE_INVALIDATE_CRASH_POINT("handover.attach", caught);
      attach_board();
    });
  } catch (...) {
    // No memory to map: the journal serves as well.
  }
}

bool is_journal_full() noexcept {
  DatabaseSlot* slot = find_slot(MyDatabaseId);
  return slot != nullptr && pg_atomic_read_u32(&slot->journal_full) != 0;
}

bool prepare_volatile_handover(std::uint64_t xid, std::size_t payload) noexcept {
  DatabaseSlot* slot = find_slot(MyDatabaseId);
  if (slot == nullptr) return false;
  announce_transaction(xid);
  CACHE_INVALIDATE_CRASH_POINT("ring_only.announced", dies);
  // The worker takes its word back first and looks who is announced then.
  pg_memory_barrier();
  if (pg_atomic_read_u32(&slot->volatile_allowed) == 0) {
    if (pg_atomic_exchange_u32(&slot->volatile_wanted, 1) == 0) wake_worker(*slot);
    return false;
  }
  CACHE_INVALIDATE_CRASH_POINT("ring_only.permitted", dies);
  prepare_handover();
  Board* board = attached_board();
  return board != nullptr && board->ring()->has_ample_room_for(payload);
}

void hand_over(HandoverKind kind, std::uint64_t xid, std::uint32_t segment, std::string_view payload) noexcept {
  // Pairs with the worker, which claims its slot before it takes the snapshot of its first scan: either we
  // see its claim, or its snapshot sees our commit.
  pg_memory_barrier();
  DatabaseSlot* slot = find_slot(MyDatabaseId);
  if (slot == nullptr) return;
  Board* board = attached_board();
  const bool fits = board != nullptr && (kind == HandoverKind::prepared || !payload.empty());
  VALGRIND_CHECK_MEM_IS_DEFINED(payload.data(), payload.size());  // as in the journal: a batch may be in the ring only
  const RingEntry entry{xid, pg::unix_microseconds(GetCurrentTimestamp()), segment, static_cast<std::uint32_t>(kind)};
  CACHE_INVALIDATE_CRASH_POINT("handover.push", dies);
  if (!fits || !board->ring()->push(entry, payload)) {
    if (fits) {
      board->ring_overflowed = GetCurrentTimestamp();
      pg_atomic_fetch_add_u64(&board->ring_overflows, 1);
    }
    CACHE_INVALIDATE_CRASH_POINT("handover.flag", dies);
    pg_atomic_write_u32(kind == HandoverKind::volatile_batch ? &slot->volatile_lost : &slot->read_journal, 1);
  }
}

void end_handover() noexcept {
  CACHE_INVALIDATE_CRASH_POINT("handover.wake", dies);
  if (const DatabaseSlot* slot = find_slot(MyDatabaseId)) wake_worker(*slot);
}

}  // namespace cache_invalidate::journal
