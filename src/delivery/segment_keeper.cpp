#include "delivery/segment_keeper.hpp"

#include <algorithm>

#include "delivery/owed_copy.hpp"
#include "delivery/transactions.hpp"
#include "journal/segment.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kSecond = 1000000;
constexpr TimestampTz kLongestPause = 30 * kSecond;
constexpr TimestampTz kRotateAfter = 5 * kSecond;       // so that an idle journal is empty soon
constexpr BlockNumber kRotatePages = 16 * 1024 * 1024 / BLCKSZ;
constexpr TimestampTz kWatch = kSecond / 20;            // between two looks at a journal that is nearly full

std::uint64_t limit() { return static_cast<std::uint64_t>(settings::max_journal_size) * 1024 * 1024; }
TimestampTz replay_window() { return settings::replay_window * 1000L; }

}  // namespace

bool SegmentKeeper::is_crowded() const { return bytes() >= limit() / 2; }

void SegmentKeeper::measure(TimestampTz now) {
  measured_ = now;
  const WorkerTransaction transaction("measuring the journal");
  for (int i = 0; i < 2; ++i) {
    // Deletes do not wait for who holds it: it is as large as it was.
    if (!ConditionalLockRelationOid(transaction.extension().journal[i], AccessShareLock)) continue;
    pages_[i] = journal::pages(transaction.extension(), i);
  }
  transaction.commit();
}

void SegmentKeeper::note_size() {
  is_full_ = bytes() >= (is_full_ ? limit() / 4 * 3 : limit());
  board_.journal_bytes = bytes();
  board_.journal_full = is_full_;
}

void SegmentKeeper::watch(TimestampTz now) {
  if (is_full_ || bytes() < limit() / 2 || now < measured_ + kWatch) return;
  measure(now);
  note_size();
}

// Until when a Redis that comes back with older data needs what lies in the segment.
TimestampTz SegmentKeeper::kept_until(int segment) const {
  const Feed::Last& last = feed_.last(segment);
  if (last.position == 0 || replay_window() == 0 || dispatcher_.targets().empty()) return 0;
  const auto is_used = [](const auto& target) { return target->enabled(); };
  return std::any_of(dispatcher_.targets().begin(), dispatcher_.targets().end(), is_used) ? last.time + replay_window() : 0;
}

// The window of a target ends when it was last seen: it may have been restarted since.
bool SegmentKeeper::is_window_open(const Target& target, TimestampTz kept) {
  return kept != 0 && target.enabled() && target.contact() < kept;
}

bool SegmentKeeper::is_kept(int segment, TimestampTz now) const {
  const TimestampTz kept = kept_until(segment);
  bool any = false;
  for (const auto& target : dispatcher_.targets()) {
    if (!is_window_open(*target, kept)) continue;
    if (now >= kept) target->check_soon();
    any = true;
  }
  return any;
}

// By what is known now.
bool SegmentKeeper::may_truncate(int segment, TimestampTz now) const {
  return dispatcher_.is_delivered(feed_.last(segment).position) && (is_crowded() || !is_kept(segment, now));
}

bool SegmentKeeper::try_truncate(int segment, TimestampTz now) {
  if (now < next_truncate_ || !may_truncate(segment, now)) return false;
  // Before it is gone: a crash must not make anybody believe that it is there.
  const bool is_early = is_kept(segment, now);
  if (is_early) progress_.note_discarded(feed_.last(segment).time);
  if (is_early || progress_.segment() == segment) {
    const WorkerTransaction transaction("writing the watermark");
    CACHE_INVALIDATE_CRASH_POINT("truncate.watermark", fails);
    progress_.write(transaction.extension());
    transaction.commit();
  }
  if (progress_.segment() == segment) return false;  // the other one is locked by somebody
  const WorkerTransaction transaction("truncating the journal");
  bool done = false;
  // Each attempt costs a transaction id where there are standbys: a writer that stays makes them rare.
  truncate_pause_ = std::min(std::max(2 * truncate_pause_, kSecond), kLongestPause);
  next_truncate_ = now + truncate_pause_;
  if (journal::try_lock_for_truncate(transaction.extension(), segment)) {
    // What else may be in the way, such as a scan for what was prepared, is soon over.
    truncate_pause_ = 0;
    next_truncate_ = now + kSecond;
    // No writer is left in this segment, and each has handed over: now we can know all that it owes. One that
    // was prepared may have been committed since, by somebody who hands nothing over.
    CACHE_INVALIDATE_CRASH_POINT("truncate.locked", fails);
    const bool is_drained = feed_.drain_ring(now);
    if (is_drained && !feed_.must_read_journal() && !feed_.has_ended_prepared(journal::take_snapshot()) && !dispatcher_.lacks_servers() &&
        may_truncate(segment, now) && (!is_early || feed_.last(segment).time <= progress_.discarded_until())) {
      // It is not undone by a crash: the watermark that stands elsewhere now must not be either.
      XLogFlush(XactLastCommitEnd);
      CACHE_INVALIDATE_CRASH_POINT("truncate", fails);
      journal::truncate(transaction.extension(), segment);
      CACHE_INVALIDATE_CRASH_POINT("truncate.done", fails);
      feed_.forget_last(segment);
      pg_atomic_fetch_add_u64(&board_.counters.truncations, 1);
      done = true;
    }
  }
  transaction.commit();
  CACHE_INVALIDATE_CRASH_POINT("truncate.committed", fails);
  return done;
}

// Before a target that is away loses its window: it is owed all of it, as if it had forgotten already. True: there is one,
// and its scan comes first.
bool SegmentKeeper::presume_lost() {
  bool any = false;
  for (const auto& target : dispatcher_.targets()) {
    if (!target->enabled() || target->is_up() || target->presumed_lost || replay_window() == 0) continue;
    target->presumed_lost = true;
    target->start_behind(core::XidSnapshot());
    any = true;
  }
  return any;
}

// Writes what is owed into the active segment, so that nothing in this one is needed any more.
//
// The copy must reach the other segment and its lock must be had: else the next tick tries again, and a copy that was written
// for nothing does no harm.
bool SegmentKeeper::copy_forward(int segment, TimestampTz now) {
  const auto is_behind = [](const auto& target) { return target->enabled() && target->is_detached(); };
  if (std::any_of(dispatcher_.targets().begin(), dispatcher_.targets().end(), is_behind) || presume_lost()) return false;
  if (now < next_truncate_) return false;
  truncate_pause_ = std::min(std::max(2 * truncate_pause_, kSecond), kLongestPause);
  next_truncate_ = now + truncate_pause_;
  const WorkerTransaction transaction("copying the journal forward");
  bool done = false;
  if (journal::try_lock_for_truncate(transaction.extension(), segment)) {
    CACHE_INVALIDATE_CRASH_POINT("compaction.locked", fails);
    const bool is_drained = feed_.drain_ring(now);
    if (is_drained && !feed_.must_read_journal() && !feed_.has_ended_prepared(journal::take_snapshot()) && !dispatcher_.lacks_servers()) {
      CACHE_INVALIDATE_CRASH_POINT("compaction.copy", fails);
      const int active = write_owed_copy(transaction.extension(), dispatcher_, 1 - segment, limit() / 4);
      CACHE_INVALIDATE_CRASH_POINT("compaction.copied", fails);
      if (dispatcher_.signalled() < feed_.last(segment).position) dispatcher_.outbox().give_up("the journal is at its limit");
      dispatcher_.gate().give_up_repeats();
      progress_.note_discarded(feed_.last(segment).time);
      progress_.write(transaction.extension());
      CACHE_INVALIDATE_CRASH_POINT("compaction.watermark", fails);
      if (active == 1 - segment && progress_.segment() == active) {
        feed_.note_last(active, dispatcher_.position(), now);
        feed_.forget_last(segment);
        done = true;
      }
    }
  }
  transaction.commit();
  if (!done) return false;
  CACHE_INVALIDATE_CRASH_POINT("compaction.committed", fails);
  // The truncation is not undone by a crash: the copy must not be either.
  XLogFlush(XactLastCommitEnd);
  CACHE_INVALIDATE_CRASH_POINT("compaction.flushed", fails);
  truncate_pause_ = next_truncate_ = 0;
  pg_atomic_fetch_add_u64(&board_.counters.compactions, 1);
  return try_truncate(segment, now);
}

// Before the worker ends: what no journal has. In a transaction of its own.
void SegmentKeeper::bequeath(TimestampTz now) {
  const WorkerTransaction transaction("journalling what is owed");
  const int active = static_cast<int>(pg_atomic_read_u32(&slot_.active_segment));
  CACHE_INVALIDATE_CRASH_POINT("bequeath", dies);
  write_owed_copy(transaction.extension(), dispatcher_, active, limit() / 4);
  CACHE_INVALIDATE_CRASH_POINT("bequeath.copied", dies);
  if (!dispatcher_.outbox().empty()) dispatcher_.outbox().give_up("the worker ends");
  feed_.note_last(active, dispatcher_.position(), now);
  transaction.commit();
  CACHE_INVALIDATE_CRASH_POINT("bequeath.committed", dies);
}

void SegmentKeeper::rotate(int active, TimestampTz now) {
  if (feed_.last(active).position == 0 && pages_[active] <= 1) return;
  if (pages_[active] < kRotatePages && now < rotated_ + kRotateAfter) return;
  CACHE_INVALIDATE_CRASH_POINT("rotate", fails);
  pg_atomic_write_u32(&slot_.active_segment, static_cast<uint32>(1 - active));
  rotated_ = now;
  CACHE_INVALIDATE_CRASH_POINT("rotate.done", fails);
}

void SegmentKeeper::tick(TimestampTz now) {
  measure(now);
  const int active = static_cast<int>(pg_atomic_read_u32(&slot_.active_segment));
  const int other = 1 - active;
  if (!feed_.is_scanning()) {
    if (pages_[other] > 0 && (try_truncate(other, now) || (is_crowded() && copy_forward(other, now)))) pages_[other] = 0;
    if (pages_[other] == 0) rotate(active, now);
  }
  note_size();
  board_.journal_hold_server = InvalidOid;
  board_.journal_hold = find_hold(other, now);
}

// What keeps the segment, for people to see.
journal::JournalHold SegmentKeeper::find_hold(int segment, TimestampTz now) {
  using journal::JournalHold;
  if (pages_[segment] == 0) return JournalHold::none;
  if (feed_.is_scanning()) return JournalHold::reading;
  const std::uint64_t position = feed_.last(segment).position;
  const TimestampTz kept = kept_until(segment);
  for (const auto& target : dispatcher_.targets()) {
    if (target->is_done(position) && (now < kept || !is_window_open(*target, kept))) continue;
    board_.journal_hold_server = target->server();
    return JournalHold::target;
  }
  if (dispatcher_.signalled() < position) return JournalHold::messages;
  if (is_kept(segment, now)) return JournalHold::replay_window;
  return truncate_pause_ > 0 ? JournalHold::transaction : JournalHold::none;
}

TimestampTz SegmentKeeper::deadline(TimestampTz now) const {
  const int active = static_cast<int>(pg_atomic_read_u32(&slot_.active_segment));
  if (pages_[1 - active] == 0 && feed_.last(active).position == 0 && pages_[active] <= 1) return DT_NOEND;
  // Where only the replay window is in the way, there is nothing to see before it ends.
  const TimestampTz kept = kept_until(1 - active);
  if (is_crowded() || pages_[1 - active] == 0 || kept == 0) return now + kSecond;
  return std::max(kept, now + kSecond);
}

}  // namespace cache_invalidate::delivery
