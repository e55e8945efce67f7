#include "journal/handover.hpp"

#include "journal/board.hpp"
#include "pg/clock.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::journal {

void prepare_handover() noexcept {
  if (attached_board() != nullptr || find_slot(MyDatabaseId) == nullptr) return;
  try {
    pg::guarded([] { attach_board(); });
  } catch (...) {
    // No memory to map: the journal serves as well.
  }
}

void hand_over(HandoverKind kind, std::uint64_t xid, std::uint32_t segment, std::string_view payload) noexcept {
  // Pairs with the worker, which claims its slot before it takes the snapshot of its first scan: either we
  // see its claim, or its snapshot sees our commit.
  pg_memory_barrier();
  DatabaseSlot* slot = find_slot(MyDatabaseId);
  if (slot == nullptr) return;
  Board* board = attached_board();
  const bool fits = board != nullptr && (kind == HandoverKind::prepared || !payload.empty());
  const RingEntry entry{xid, pg::unix_microseconds(GetCurrentTimestamp()), segment, static_cast<std::uint32_t>(kind)};
  if (!fits || !board->ring()->push(entry, payload)) pg_atomic_write_u32(&slot->read_journal, 1);
  wake_worker(*slot);
}

}  // namespace cache_invalidate::journal
