#include "delivery/progress.hpp"

#include <algorithm>
#include <limits>

#include "delivery/transactions.hpp"
#include "journal/segment.hpp"
#include "pg/crash_point.hpp"

namespace cache_invalidate::delivery {
namespace {

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
    scan.begin(transaction.extension(), 0);
    transaction.commit();
  }
  while (scan.active()) {
    CHECK_FOR_INTERRUPTS();
    const WorkerTransaction transaction("looking for the watermark");
    scan.step(transaction.extension(), &Progress::find_watermark, this);
    transaction.commit();
  }
  if (written_.sequence != 0 && written_.system != GetSystemIdentifier()) {
    // pg_upgrade brought it here, and gave the servers new numbers.
    loss_ = "the journal was written by another server";
    ring_only_ = true;
    return;
  }
  ring_only_ = written_.ring_only;
  discarded_until_ = written_.discarded_until;
  if (ring_only_) loss_ = "changes may have been lost with the ring";
  const core::Watermark::Entry* signals = written_.find(0);
  if (signals == nullptr) return;
  dispatcher_.signals_delivered = signals->snapshot;
  dispatcher_.outbox().reset_due = signals->reset_due;
  for (const auto& target : dispatcher_.targets()) {
    const core::Watermark::Entry* entry = written_.find(target->server());
    if (entry == nullptr) continue;
    target->delivered = entry->snapshot;
    target->presumed_lost = entry->snapshot == core::XidSnapshot();  // it is owed all that there is
    target->expect_identity(entry->identity);
    target->reliable_from = std::numeric_limits<std::uint64_t>::max();  // until the first scan is done
    // Messages may have left that its deletes have not caught up with.
    target->standing.owes_messages = !(entry->snapshot == signals->snapshot) || entry->reset_due;
    target->standing.passed = target->standing.owes_messages;
    target->standing.repeat_from = entry->snapshot;
    target->standing.reset_due = entry->reset_due;
  }
}

void Progress::begin_checkpoint(bool is_new) {
  CACHE_INVALIDATE_CRASH_POINT("checkpoint", fails);
  const WorkerTransaction transaction("taking a checkpoint");
  // Whoever wrote before this and is not announced has ended, as the snapshot sees, or was prepared.
  std::uint64_t written_before = GetXLogInsertRecPtr();
  pg_memory_barrier();
  journal::for_each_announced([&written_before](const journal::Announced& writer) {
    written_before = std::min(written_before, writer.written_from);
  });
  pending_position_ = dispatcher_.position();
  pending_snapshot_ = journal::take_snapshot();
  CACHE_INVALIDATE_CRASH_POINT("checkpoint.snapshot", fails);
  pending_snapshot_.written_before = written_before;
  if (feed_.has_ended_prepared(pending_snapshot_)) {
    // Its batch is in the journal only; the scan is a checkpoint itself.
    pg_atomic_write_u32(&slot_.read_journal, 1);
  } else if (is_new) {
    // Before a transaction becomes visible it is announced: whoever is not announced now has handed over.
    pg_memory_barrier();
    pending_writers_.clear();
    journal::for_each_announced([this](const journal::Announced& writer) {
      if (pending_snapshot_.contains(writer.xid)) pending_writers_.push_back(writer);
    });
    CACHE_INVALIDATE_CRASH_POINT("checkpoint.writers", fails);
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
    CACHE_INVALIDATE_CRASH_POINT("checkpoint.waited", fails);
    pending_drains_ = true;
  }
  if (board_.ring()->consumed() < pending_ring_) return;
  pending_ = false;
  // Something of the snapshot may be in the journal only: a scan follows, and is a checkpoint itself.
  // The same if a scan began since: its moment is newer than this snapshot.
  if (feed_.must_read_journal() || feed_.full_scans() != pending_scans_ || feed_.has_ended_prepared(pending_snapshot_)) return;
  if (dispatcher_.lacks_servers()) return;
  // A prepared transaction may have written before; when it has ended, its pages must not be passed over.
  if (feed_.has_prepared()) pending_snapshot_.written_before = feed_.base().written_before;
  CACHE_INVALIDATE_CRASH_POINT("checkpoint.taken", fails);
  feed_.advance_base(pending_snapshot_);
  checkpoint_position_ = pending_position_;
  checkpoints_.push_back({pending_snapshot_, dispatcher_.position()});
  if (checkpoints_.size() <= kMostCheckpoints) return;
  // A target lags: fewer old checkpoints will do for it.
  for (std::size_t i = 1; i < checkpoints_.size() / 2; ++i) checkpoints_.erase(checkpoints_.begin() + static_cast<std::ptrdiff_t>(i));
}

// The newest of them that this position covers; nullptr: none does.
const Progress::Checkpoint* Progress::newest_covered(std::uint64_t from, std::uint64_t position) const {
  const Checkpoint* newest = nullptr;
  for (const Checkpoint& checkpoint : checkpoints_) {
    if (checkpoint.position >= from && checkpoint.position <= position) newest = &checkpoint;
  }
  return newest;
}

void Progress::apply_checkpoints() {
  // What was sent by an older one is on its way again.
  if (repetitions_ != feed_.repetitions()) checkpoints_.clear();
  repetitions_ = feed_.repetitions();
  std::uint64_t slowest = dispatcher_.signalled();
  if (const Checkpoint* newest = newest_covered(0, dispatcher_.signalled())) dispatcher_.signals_delivered = newest->snapshot;
  is_applied_ = checkpoints_.empty() || slowest >= checkpoints_.back().position;
  for (const auto& target : dispatcher_.targets()) {
    if (!target->enabled()) {
      // Unless it was enabled since: then it is owed what has named it.
      const bool is_certain = pg_atomic_read_u32(&slot_.catalog_changed) == 0;
      if (is_certain && !checkpoints_.empty()) target->delivered = checkpoints_.back().snapshot;
      continue;
    }
    // Messages that are to follow its deletes are forgotten by a crash: then the deletes are repeated too.
    const bool waits = target->is_detached() || target->standing.owes_messages;
    if (!waits) slowest = std::min(slowest, target->settled());
    const Checkpoint* newest = waits ? nullptr : newest_covered(target->reliable_from, target->settled());
    if (newest != nullptr) target->delivered = newest->snapshot;
    if (!checkpoints_.empty() && newest != &checkpoints_.back()) is_applied_ = false;
  }
  while (checkpoints_.size() > 1 && checkpoints_[1].position <= slowest) checkpoints_.pop_front();
}

core::Watermark Progress::current() const {
  core::Watermark mark;
  mark.sequence = written_.sequence + 1;
  mark.system = GetSystemIdentifier();
  mark.discarded_until = discarded_until_;
  mark.ring_only = ring_only_;
  mark.entries.push_back({0, dispatcher_.signals_delivered, dispatcher_.outbox().reset_due});
  for (const auto& target : dispatcher_.targets()) {
    mark.entries.push_back({target->server(), target->delivered, target->standing.reset_due, target->identity()});
  }
  return mark;
}

void Progress::write_if_due() {
  const core::Watermark now = current();
  const auto says_nothing = [](const core::Watermark::Entry& entry) {
    return entry.snapshot == core::XidSnapshot() && !entry.reset_due && entry.identity.empty();
  };
  if (!now.ring_only && !written_.ring_only && std::all_of(now.entries.begin(), now.entries.end(), says_nothing)) return;
  if (now.equals(written_)) return;
  CACHE_INVALIDATE_CRASH_POINT("watermark", fails);
  const WorkerTransaction transaction("writing the watermark");
  write(transaction.extension());
  CACHE_INVALIDATE_CRASH_POINT("watermark.written", fails);
  transaction.commit();
  CACHE_INVALIDATE_CRASH_POINT("watermark.committed", fails);
}

void Progress::write(const pg::Extension& extension) {
  written_ = current();
  const std::string row = written_.encode();
  watermark_segment_ = journal::lock_for_append(extension, static_cast<int>(pg_atomic_read_u32(&slot_.active_segment)));
  journal::append(extension, watermark_segment_, row, {row.size()});
}

void Progress::run() {
  if (pending_) continue_checkpoint();
}

// About once a second.
void Progress::tick() {
  const bool is_new = dispatcher_.position() != checkpoint_position_;
  if (!pending_ && !feed_.is_scanning_for_all() && (is_new || feed_.has_prepared())) begin_checkpoint(is_new);
  apply_checkpoints();
  write_if_due();
}

void Progress::finish(TimestampTz now) {
  // The one that is pending may not have all, then another one has.
  for (int i = 0; i < 2; ++i) {
    const bool is_new = dispatcher_.position() != checkpoint_position_;
    if (!pending_ && !feed_.is_scanning_for_all() && is_new) begin_checkpoint(true);
    if (!pending_) break;
    feed_.drain_ring(now);
    continue_checkpoint();
  }
  apply_checkpoints();
  write_if_due();
}

bool Progress::is_settled() const {
  return !pending_ && is_applied_ && !feed_.has_prepared() && dispatcher_.position() == checkpoint_position_;
}

}  // namespace cache_invalidate::delivery
