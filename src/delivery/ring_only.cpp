#include "delivery/ring_only.hpp"

#include "pg/crash_point.hpp"

#include <algorithm>

namespace cache_invalidate::delivery {
namespace {
constexpr TimestampTz kIdle = 60 * 1000000L;
}

void RingOnly::start() {
  // A worker that was ended by an error has not taken it back.
  forbid();
  loss_ = progress_.loss();
  // Who was allowed before may be on his way still, behind the reset: until he has handed over the word stays.
  is_ending_ = loss_ != nullptr;
}

void RingOnly::note_loss(const char* reason) {
  loss_ = reason;
  progress_.set_ring_only(true);
}

void RingOnly::note_reset() {
  loss_ = nullptr;
  progress_.set_ring_only(is_allowed_ || is_ending_);
}

void RingOnly::take_back() {
  progress_.set_ring_only(loss_ != nullptr || pg_atomic_read_u32(&slot_.volatile_lost) != 0);
}

void RingOnly::tell_writers(bool journal_is_full) {
  if ((pg_atomic_read_u32(&slot_.journal_full) != 0) == journal_is_full) return;
  pg_atomic_write_u32(&slot_.journal_full, journal_is_full);
  if (journal_is_full) {
    ereport(LOG, (errmsg("cache_invalidate: the journal is at max_journal_size and cannot be truncated: changes go by the ring only"),
                  errhint("Look for old prepared transactions and other holders of a lock on the journal's tables.")));
  } else {
    ereport(LOG, (errmsg("cache_invalidate: the journal has room again")));
  }
}

void RingOnly::allow() {
  pg_atomic_write_u32(&slot_.volatile_wanted, 0);
  CACHE_INVALIDATE_CRASH_POINT("ring_only.allow", fails);
  progress_.set_ring_only(true);
  progress_.write_if_due();
  XLogFlush(XactLastCommitEnd);
  CACHE_INVALIDATE_CRASH_POINT("ring_only.flushed", fails);
  is_allowed_ = true;
  is_ending_ = false;
  pg_atomic_write_u32(&slot_.volatile_allowed, 1);
  CACHE_INVALIDATE_CRASH_POINT("ring_only.allowed", fails);
}

// Everything up to the last such batch is delivered and nobody is on his way: a crash loses nothing.
void RingOnly::end_if_idle(TimestampTz now) {
  if (is_allowed_ && now >= used_at_ + kIdle) {
    forbid();
    is_ending_ = true;
    ring_end_ = 0;
  }
  if (!is_ending_ || !is_quiet()) return;
  if (ring_end_ == 0) ring_end_ = board_.ring()->reserved();
  if (board_.ring()->consumed() < ring_end_ || !dispatcher_.is_delivered(dispatcher_.gate().volatile_position())) return;
  is_ending_ = false;
  take_back();
  progress_.write_if_due();
}

void RingOnly::run(bool journal_is_full, TimestampTz now) {
  tell_writers(journal_is_full);
  if (pg_atomic_read_u32(&slot_.volatile_lost) != 0) {
    pg_atomic_write_u32(&slot_.volatile_lost, 0);
    note_loss("changes did not fit the ring");
  }
  const std::uint64_t position = dispatcher_.gate().volatile_position();
  if (journal_is_full || position != used_position_) used_at_ = now;
  used_position_ = position;
  if (loss_ != nullptr) return;
  const bool wanted = pg_atomic_read_u32(&slot_.volatile_wanted) != 0 || journal_is_full;
  if (wanted && !is_allowed_) {
    allow();
    used_at_ = now;
  } else {
    end_if_idle(now);
  }
}

void RingOnly::forbid() {
  CACHE_INVALIDATE_CRASH_POINT("ring_only.forbid", dies);
  is_allowed_ = false;
  pg_atomic_write_u32(&slot_.volatile_allowed, 0);
  // A writer announces itself before it looks whether it is allowed.
  pg_memory_barrier();
  CACHE_INVALIDATE_CRASH_POINT("ring_only.forbidden", dies);
  writers_.clear();
  journal::for_each_announced([this](const journal::Announced& writer) { writers_.push_back(writer); });
}

bool RingOnly::is_quiet() {
  const auto has_ended = [](const journal::Announced& writer) { return !journal::is_still_announced(writer); };
  writers_.erase(std::remove_if(writers_.begin(), writers_.end(), has_ended), writers_.end());
  return writers_.empty();
}

}  // namespace cache_invalidate::delivery
