#include "delivery/ring_only.hpp"

#include <algorithm>

namespace cache_invalidate::delivery {

void RingOnly::start() {
  // A worker that was ended by an error has not taken it back.
  pg_atomic_write_u32(&slot_.volatile_allowed, 0);
  loss_ = progress_.loss();
}

void RingOnly::note_loss(const char* reason) {
  loss_ = reason;
  progress_.set_ring_only(true);
}

void RingOnly::note_reset() {
  loss_ = nullptr;
  progress_.set_ring_only(is_allowed_);
}

void RingOnly::run(bool journal_is_full) {
  if ((pg_atomic_read_u32(&slot_.journal_full) != 0) != journal_is_full) {
    pg_atomic_write_u32(&slot_.journal_full, journal_is_full);
    ereport(LOG, (journal_is_full ? errmsg("cache_invalidate: the journal is at max_journal_size and cannot be truncated: changes go by the ring only")
                                  : errmsg("cache_invalidate: the journal has room again"),
                  journal_is_full ? errhint("Look for old prepared transactions and other holders of a lock on the journal's tables.") : 0));
  }
  if (pg_atomic_read_u32(&slot_.volatile_lost) != 0) {
    pg_atomic_write_u32(&slot_.volatile_lost, 0);
    note_loss("changes did not fit the ring");
  }
  const bool wanted = pg_atomic_read_u32(&slot_.volatile_wanted) != 0;
  if (is_allowed_ || !(wanted || journal_is_full) || loss_ != nullptr) return;
  pg_atomic_write_u32(&slot_.volatile_wanted, 0);
  progress_.set_ring_only(true);
  progress_.write_if_due();
  XLogFlush(XactLastCommitEnd);
  is_allowed_ = true;
  pg_atomic_write_u32(&slot_.volatile_allowed, 1);
}

void RingOnly::forbid() {
  is_allowed_ = false;
  pg_atomic_write_u32(&slot_.volatile_allowed, 0);
  // A writer announces itself before it looks whether it is allowed.
  pg_memory_barrier();
  writers_.clear();
  journal::for_each_announced([this](const journal::Announced& writer) { writers_.push_back(writer); });
}

bool RingOnly::is_quiet() {
  const auto has_ended = [](const journal::Announced& writer) { return !journal::is_still_announced(writer); };
  writers_.erase(std::remove_if(writers_.begin(), writers_.end(), has_ended), writers_.end());
  return writers_.empty();
}

}  // namespace cache_invalidate::delivery
