#include "journal/board.hpp"

#include "pg/settings.hpp"

namespace cache_invalidate::journal {
namespace {

struct Attachment {
  DatabaseSlot* slot = nullptr;
  std::uint32_t generation = 0;
  dsm_segment* segment = nullptr;
  Board* board = nullptr;
};
Attachment attachment;

void detach() {
  if (attachment.segment != nullptr) dsm_detach(attachment.segment);
  attachment = Attachment();
}

void init_counters(Board& board) {
  Counters& c = board.counters;
  for (pg_atomic_uint64* counter :
       {&c.batches, &c.keys, &c.patterns, &c.messages, &c.notified, &c.journal_scans, &c.truncations, &c.errors, &c.compactions,
                                    &c.resets}) {
    pg_atomic_init_u64(counter, 0);
  }
  pg_atomic_init_u64(&board.batches_unsaid, 0);
  pg_atomic_init_u64(&board.ring_overflows, 0);
  for (TargetStatus& t : board.target) {
    for (pg_atomic_uint64* counter : {&t.keys, &t.commands, &t.batches_owed, &t.bytes, &t.connects, &t.failures, &t.pending,
                                      &t.patterns_pending, &t.sweep_scanned, &t.sweep_total, &t.widened, &t.retried}) {
      pg_atomic_init_u64(counter, 0);
    }
  }
  board.triggers.init();
  pg_atomic_init_u32(&board.clear_wanted, 0);
  pg_atomic_init_u32(&board.clear_done, 0);
  ConditionVariableInit(&board.cleared);
}

void keep(DatabaseSlot& slot, dsm_segment* segment, std::uint32_t generation) {
  dsm_pin_mapping(segment);
  attachment.slot = &slot;
  attachment.segment = segment;
  attachment.board = static_cast<Board*>(dsm_segment_address(segment));
  attachment.generation = generation;
}

}  // namespace

Board* create_board(DatabaseSlot& slot) {
  detach();
  if (slot.ring != 0) {
    if (dsm_segment* existing = dsm_attach(slot.ring)) {
      keep(slot, existing, pg_atomic_read_u32(&slot.generation));
      return attachment.board;
    }
  }
  const Size ring_offset = TYPEALIGN(64, sizeof(Board));
  const Size size = ring_offset + static_cast<Size>(settings::ring_size) * 1024;
  dsm_segment* segment = dsm_create(size, 0);
  auto* board = static_cast<Board*>(dsm_segment_address(segment));
  memset(static_cast<void*>(board), 0, size);
  SpinLockInit(&board->lock);
  ConditionVariableInit(&board->probes_changed);
  board->since = GetCurrentTimestamp();
  board->ring_offset = ring_offset;
  init_counters(*board);
  Ring::create(board->ring(), size - ring_offset);
  dsm_pin_segment(segment);
  LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
  slot.ring = dsm_segment_handle(segment);
  pg_atomic_fetch_add_u32(&slot.generation, 1);
  LWLockRelease(shared_state()->lock);
  keep(slot, segment, pg_atomic_read_u32(&slot.generation));
  return attachment.board;
}

void drop_board(DatabaseSlot& slot) {
  LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
  const dsm_handle handle = slot.ring;
  slot.ring = 0;
  pg_atomic_fetch_add_u32(&slot.generation, 1);
  LWLockRelease(shared_state()->lock);
  if (handle != 0) dsm_unpin_segment(handle);
  detach();
}

void clear_statistics(Board& board) {
  Counters& c = board.counters;
  for (pg_atomic_uint64* counter : {&c.batches, &c.keys, &c.patterns, &c.messages, &c.notified, &c.journal_scans, &c.truncations, &c.errors,
                                    &c.compactions, &c.resets}) {
    pg_atomic_write_u64(counter, 0);
  }
  board.latency.clear();
  for (TargetStatus& t : board.target) {
    for (pg_atomic_uint64* counter : {&t.keys, &t.commands, &t.bytes, &t.connects, &t.failures, &t.published, &t.widened, &t.retried}) {
      pg_atomic_write_u64(counter, 0);
    }
    t.latency.clear();
  }
  board.triggers.clear();
  board.since = GetCurrentTimestamp();
}

void clear_statistics_if_wanted(Board& board) {
  const uint32 wanted = pg_atomic_read_u32(&board.clear_wanted);
  if (wanted == pg_atomic_read_u32(&board.clear_done)) return;
  clear_statistics(board);
  pg_atomic_write_u32(&board.clear_done, wanted);
  ConditionVariableBroadcast(&board.cleared);
}

Board* attached_board() {
  if (attachment.board == nullptr || attachment.slot->database != MyDatabaseId ||
      pg_atomic_read_u32(&attachment.slot->generation) != attachment.generation) {
    return nullptr;
  }
  return attachment.board;
}

Board* attach_board() {
  if (Board* board = attached_board()) return board;
  detach();
  DatabaseSlot* slot = find_slot(MyDatabaseId);
  if (slot == nullptr) return nullptr;
  // Handle and generation must belong together, but attaching may raise an error: not under the lock.
  LWLockAcquire(shared_state()->lock, LW_SHARED);
  const dsm_handle handle = slot->database == MyDatabaseId ? slot->ring : 0;
  const std::uint32_t generation = pg_atomic_read_u32(&slot->generation);
  LWLockRelease(shared_state()->lock);
  dsm_segment* segment = handle == 0 ? nullptr : dsm_attach(handle);
  if (segment == nullptr) return nullptr;
  keep(*slot, segment, generation);
  return attached_board();
}

}  // namespace cache_invalidate::journal
