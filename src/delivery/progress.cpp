#include "delivery/progress.hpp"

#include <algorithm>

#include "delivery/transactions.hpp"
#include "journal/segment.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kTick = 1000000;
constexpr TimestampTz kLongestPause = 30 * kTick;
constexpr TimestampTz kRotateAfter = 5 * kTick;          // so that an idle journal is empty soon
constexpr BlockNumber kRotatePages = 16 * 1024 * 1024 / BLCKSZ;
constexpr std::size_t kMostCheckpoints = 64;

}  // namespace

void Progress::find_watermark(void* context, int segment, std::string_view row) {
  if (row.empty() || static_cast<std::uint8_t>(row.front()) != core::kWatermarkVersion) return;
  auto* own = static_cast<Progress*>(context);
  core::Result<core::Watermark> found = core::Watermark::decode(row);
  if (!found.ok() || found.value().sequence <= own->written_.sequence) return;
  own->written_ = found.take();
  own->watermark_segment_ = segment;
}

void Progress::load() {
  journal::JournalScan scan;
  {
    const WorkerTransaction transaction("looking for the watermark");
    scan.begin(transaction.extension());
    transaction.commit();
  }
  while (scan.active()) {
    CHECK_FOR_INTERRUPTS();
    const WorkerTransaction transaction("looking for the watermark");
    scan.step(transaction.extension(), &Progress::find_watermark, this);
    transaction.commit();
  }
  if (const core::XidSnapshot* signals = written_.find(0)) dispatcher_.signals_delivered = *signals;
  for (const auto& target : dispatcher_.targets()) {
    if (const core::XidSnapshot* snapshot = written_.find(target->server())) target->delivered = *snapshot;
  }
}

void Progress::begin_checkpoint(bool is_new) {
  const WorkerTransaction transaction("taking a checkpoint");
  pending_snapshot_ = journal::take_snapshot();
  if (feed_.has_ended_prepared(pending_snapshot_)) {
    // Its batch is in the journal only; the scan is a checkpoint itself.
    feed_.begin_full_scan(transaction.extension());
  } else if (is_new) {
    // Before a transaction becomes visible it is announced: whoever is not announced now has handed over.
    pg_memory_barrier();
    pending_writers_.clear();
    journal::for_each_announced([this](const journal::Announced& writer) {
      if (pending_snapshot_.contains(writer.xid)) pending_writers_.push_back(writer);
    });
    pending_ = true;
    pending_drains_ = false;
    pending_scans_ = feed_.full_scans();
  }
  transaction.commit();
}

void Progress::continue_checkpoint() {
  const auto has_ended = [](const journal::Announced& writer) { return !journal::is_still_announced(writer); };
  if (!pending_drains_) {
    pending_writers_.erase(std::remove_if(pending_writers_.begin(), pending_writers_.end(), has_ended), pending_writers_.end());
    if (!pending_writers_.empty()) return;
    pg_memory_barrier();
    pending_ring_ = board_.ring()->reserved();
    pending_drains_ = true;
  }
  if (board_.ring()->consumed() < pending_ring_) return;
  pending_ = false;
  // Something of the snapshot may be in the journal only: a scan follows, and is a checkpoint itself.
  // The same if a scan began since: its moment is newer than this snapshot.
  if (feed_.must_read_journal() || feed_.full_scans() != pending_scans_ || feed_.has_ended_prepared(pending_snapshot_)) return;
  if (dispatcher_.lacks_servers()) return;
  feed_.advance_base(pending_snapshot_);
  checkpoint_position_ = dispatcher_.position();
  checkpoints_.push_back({pending_snapshot_, checkpoint_position_});
  if (checkpoints_.size() <= kMostCheckpoints) return;
  // A target lags: fewer old checkpoints will do for it.
  for (std::size_t i = 1; i < checkpoints_.size() / 2; ++i) checkpoints_.erase(checkpoints_.begin() + static_cast<std::ptrdiff_t>(i));
}

void Progress::apply_checkpoints() {
  std::uint64_t slowest = dispatcher_.signalled();
  for (const Checkpoint& checkpoint : checkpoints_) {
    if (checkpoint.position <= dispatcher_.signalled()) dispatcher_.signals_delivered = checkpoint.snapshot;
  }
  for (const auto& target : dispatcher_.targets()) {
    if (!target->enabled()) {
      if (!checkpoints_.empty()) target->delivered = checkpoints_.back().snapshot;
      continue;
    }
    if (target->is_detached()) continue;
    slowest = std::min(slowest, target->acknowledged());
    for (const Checkpoint& checkpoint : checkpoints_) {
      if (checkpoint.position < target->reliable_from || checkpoint.position > target->acknowledged()) continue;
      target->delivered = checkpoint.snapshot;
    }
  }
  while (checkpoints_.size() > 1 && checkpoints_[1].position <= slowest) checkpoints_.pop_front();
}

core::Watermark Progress::current_watermark() const {
  core::Watermark mark;
  mark.sequence = written_.sequence + 1;
  mark.entries.push_back({0, dispatcher_.signals_delivered});
  for (const auto& target : dispatcher_.targets()) mark.entries.push_back({target->server(), target->delivered});
  return mark;
}

bool Progress::is_watermark_due() const {
  const core::Watermark now = current_watermark();
  const auto says_nothing = [](const core::Watermark::Entry& entry) { return entry.snapshot == core::XidSnapshot(); };
  if (std::all_of(now.entries.begin(), now.entries.end(), says_nothing)) return false;
  if (now.entries.size() != written_.entries.size()) return true;
  return !std::equal(now.entries.begin(), now.entries.end(), written_.entries.begin(),
                     [](const auto& a, const auto& b) { return a.target == b.target && a.snapshot == b.snapshot; });
}

void Progress::write_watermark() {
  const WorkerTransaction transaction("writing the watermark");
  written_ = current_watermark();
  const std::string row = written_.encode();
  watermark_segment_ = journal::lock_for_append(transaction.extension(), static_cast<int>(pg_atomic_read_u32(&slot_.active_segment)));
  journal::append(transaction.extension(), watermark_segment_, row, {row.size()});
  transaction.commit();
}

bool Progress::try_truncate(int segment, TimestampTz now) {
  if (now < next_truncate_ || !dispatcher_.is_delivered(feed_.last_position(segment))) return false;
  if (watermark_segment_ == segment) write_watermark();
  if (watermark_segment_ == segment) return false;  // the other one is locked by somebody
  const WorkerTransaction transaction("truncating the journal");
  bool done = false;
  // Each attempt costs a transaction id where there are standbys: a writer that stays makes them rare.
  truncate_pause_ = std::min(std::max(2 * truncate_pause_, kTick), kLongestPause);
  next_truncate_ = now + truncate_pause_;
  if (journal::try_lock_for_truncate(transaction.extension(), segment)) {
    truncate_pause_ = 0;
    // No writer is left in this segment, and each has handed over: now we can know all that it owes. One that
    // was prepared may have been committed since, by somebody who hands nothing over.
    feed_.drain_ring(now);
    if (!feed_.must_read_journal() && !feed_.has_ended_prepared(journal::take_snapshot()) && !dispatcher_.lacks_servers() &&
        dispatcher_.is_delivered(feed_.last_position(segment))) {
      journal::truncate(transaction.extension(), segment);
      feed_.forget_position(segment);
      pg_atomic_fetch_add_u64(&board_.counters.truncations, 1);
      done = true;
    }
  }
  transaction.commit();
  return done;
}

void Progress::tend_segments(TimestampTz now) {
  {
    const WorkerTransaction transaction("measuring the journal");
    for (int i = 0; i < 2; ++i) pages_[i] = journal::pages(transaction.extension(), i);
    transaction.commit();
  }
  const int active = static_cast<int>(pg_atomic_read_u32(&slot_.active_segment));
  const int other = 1 - active;
  if (!feed_.is_scanning()) {
    if (pages_[other] > 0) {
      if (try_truncate(other, now)) pages_[other] = 0;
    } else if (feed_.last_position(active) != 0 || pages_[active] > 1) {
      if (pages_[active] >= kRotatePages || now >= rotated_ + kRotateAfter) {
        pg_atomic_write_u32(&slot_.active_segment, static_cast<uint32>(other));
        rotated_ = now;
      }
    }
  }
  board_.journal_bytes = (static_cast<std::uint64_t>(pages_[0]) + pages_[1]) * BLCKSZ;
}

void Progress::run(TimestampTz now) {
  if (pending_) continue_checkpoint();
  if (now < next_tick_) return;
  next_tick_ = now + kTick;
  const bool is_new = dispatcher_.position() != checkpoint_position_;
  if (!pending_ && !feed_.is_scanning_for_all() && (is_new || feed_.has_prepared())) begin_checkpoint(is_new);
  apply_checkpoints();
  if (is_watermark_due()) write_watermark();
  tend_segments(now);
}

void Progress::finish(TimestampTz now) {
  const bool is_new = dispatcher_.position() != checkpoint_position_;
  if (!pending_ && !feed_.is_scanning_for_all() && is_new) begin_checkpoint(true);
  if (pending_) {
    feed_.drain_ring(now);
    continue_checkpoint();
  }
  apply_checkpoints();
  if (is_watermark_due()) write_watermark();
  next_tick_ = now + kTick;
}

bool Progress::is_settled() const {
  const int active = static_cast<int>(pg_atomic_read_u32(&slot_.active_segment));
  return !pending_ && !feed_.has_prepared() && dispatcher_.position() == checkpoint_position_ && pages_[1 - active] == 0 &&
         feed_.last_position(active) == 0 && pages_[active] <= 1;
}

TimestampTz Progress::deadline() const { return is_settled() ? DT_NOEND : next_tick_; }

}  // namespace cache_invalidate::delivery
