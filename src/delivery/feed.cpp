#include "delivery/feed.hpp"

#include <algorithm>
#include <limits>

#include "delivery/transactions.hpp"
#include "journal/handover.hpp"
#include "journal/scan.hpp"
#include "pg/clock.hpp"
#include "pg/xid.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {
constexpr int kEntriesAtOnce = 2000;
}

void Feed::begin_full_scan(const pg::Extension& extension) {
  ++full_scans_;
  for (const auto& target : dispatcher_.targets()) {
    if (scan_.active() && target->server() == filter_.only_target) target->fall_behind();
  }
  // In this order: what is flagged, prepared or committed after each step is seen by a later one, or flagged
  // again.
  pg_atomic_write_u32(&slot_.read_journal, 0);
  pg_memory_barrier();
  read_prepared();
  scan_.begin(extension);
  sorted_recent_.assign(recent_.begin(), recent_.end());
  std::sort(sorted_recent_.begin(), sorted_recent_.end());
  filter_ = {0, dispatcher_.signals_delivered, &sorted_recent_};
  // Attached targets have taken everything of the base, whatever was acknowledged of it.
  if (!(base_ == core::XidSnapshot())) {
    filter_.signals = base_;
    for (const auto& target : dispatcher_.targets()) {
      if (!target->is_detached()) target->taken = base_;
    }
  } else {
    // The first scan of this worker.
    for (const auto& target : dispatcher_.targets()) {
      target->attach();
      target->taken = target->delivered;
    }
  }
  dispatcher_.hold_signals(true);
  pg_atomic_fetch_add_u64(&board_.counters.journal_scans, 1);
}

void Feed::begin_target_scan(const pg::Extension& extension, Target& target) {
  target.attach();
  target.is_reading = true;
  target.taken = target.delivered;
  target.reliable_from = std::numeric_limits<std::uint64_t>::max();  // until the scan is done
  scan_.begin(extension);
  filter_ = {target.server(), {}, nullptr};
  pg_atomic_fetch_add_u64(&board_.counters.journal_scans, 1);
}

// The ids of the transactions that are prepared in this database now.
void Feed::read_prepared() {
  prepared_.clear();
  SPI_connect();
  PushActiveSnapshot(GetTransactionSnapshot());
  const int code = SPI_execute(
      "SELECT p.transaction FROM pg_catalog.pg_prepared_xacts p "
      "WHERE p.database OPERATOR(pg_catalog.=) pg_catalog.current_database()",
      true, 0);
  const FullTransactionId next = ReadNextFullTransactionId();
  for (uint64 i = 0; code == SPI_OK_SELECT && i < SPI_processed; ++i) {
    bool is_null;
    const Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null);
    prepared_.push_back(pg::widen_xid(DatumGetTransactionId(value), next));
  }
  PopActiveSnapshot();
  SPI_finish();
}

void Feed::visit_row(void* context, int segment, std::string_view row) {
  static_cast<Feed*>(context)->take_row(segment, row);
}

void Feed::take_row(int segment, std::string_view row) {
  if (!core::is_batch(row)) return;
  core::Result<core::BatchReader> opened = core::BatchReader::open(row);
  // Committed after the scan began: it comes through the ring, or with the next scan.
  if (opened.ok() && !scan_.moment().contains(opened.value().header().xid)) return;
  dispatcher_.begin_batch(scan_time_);
  last_position_[segment] = dispatcher_.position();
  const TimestampTz committed = opened.ok() ? pg::server_time(opened.value().header().time) : scan_time_;
  if (!opened.ok() || !dispatcher_.take_chunk(row, committed, &filter_)) {
    ereport(WARNING, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("cache_invalidate: skipped a damaged row of the journal")));
  }
  dispatcher_.end_batch();
}

bool Feed::pump_scan(TimestampTz now) {
  Target* only = nullptr;
  for (const auto& target : dispatcher_.targets()) {
    if (target->server() == filter_.only_target) only = target.get();
  }
  if (filter_.only_target != 0) {
    if (only == nullptr || only->is_detached()) {
      scan_.cancel();
      return true;
    }
    if (only->collected() > static_cast<std::size_t>(settings::max_backlog_keys) / 2) return false;
  }
  scan_time_ = now;
  const WorkerTransaction transaction("reading the journal");
  scan_.step(transaction.extension(), &Feed::visit_row, this);
  if (!scan_.active()) finish_scan();
  transaction.commit();
  return true;
}

void Feed::finish_scan() {
  if (filter_.only_target == 0) {
    advance_base(scan_.moment());
    for (const auto& target : dispatcher_.targets()) target->reliable_from = dispatcher_.position();
    dispatcher_.hold_signals(false);
    return;
  }
  for (const auto& target : dispatcher_.targets()) {
    if (target->server() != filter_.only_target) continue;
    target->reliable_from = dispatcher_.position();
    target->is_reading = false;
  }
}

void Feed::take_entry(const journal::RingEntry& entry, TimestampTz now) {
  const bool prepared = entry.kind == static_cast<std::uint32_t>(journal::HandoverKind::prepared);
  if (was_taken(entry.xid)) return;
  if (prepared) {
    prepared_.push_back(entry.xid);
    return;
  }
  dispatcher_.begin_batch(now);
  last_position_[entry.segment & 1] = dispatcher_.position();
  core::ByteReader chunks(payload_);
  const TimestampTz committed = pg::server_time(entry.commit_time);
  while (!chunks.at_end()) {
    const std::string_view chunk = chunks.bytes();
    if (!chunks.ok()) break;
    dispatcher_.take_chunk(chunk, committed, nullptr);
  }
  recent_.insert(entry.xid);
  dispatcher_.end_batch();
}

bool Feed::pump_ring(TimestampTz now) {
  journal::RingEntry entry;
  for (int i = 0; i < kEntriesAtOnce; ++i) {
    if (!board_.ring()->front(entry, payload_)) return false;
    take_entry(entry, now);
    board_.ring()->pop();
  }
  return true;
}

void Feed::drain_ring(TimestampTz now) {
  const std::uint64_t end = board_.ring()->reserved();
  while (board_.ring()->consumed() < end && pump_ring(now)) {
  }
}

bool Feed::pump(TimestampTz now) {
  if (dispatcher_.is_full()) return false;
  // A full scan comes before the ring, so that messages keep the order of the commits.
  if (scan_.active() && filter_.only_target == 0) return pump_scan(now);
  const bool more = pump_ring(now);
  return (scan_.active() && pump_scan(now)) || more;
}

void Feed::advance_base(const core::XidSnapshot& snapshot) {
  base_ = snapshot;
  for (auto it = recent_.begin(); it != recent_.end();) {
    it = base_.contains(*it) ? recent_.erase(it) : std::next(it);
  }
  const auto ended = [&](std::uint64_t xid) { return base_.contains(xid); };
  prepared_.erase(std::remove_if(prepared_.begin(), prepared_.end(), ended), prepared_.end());
}

bool Feed::has_ended_prepared(const core::XidSnapshot& snapshot) const {
  return std::any_of(prepared_.begin(), prepared_.end(), [&](std::uint64_t xid) { return snapshot.contains(xid); });
}

bool Feed::is_overtaken() {
  if (must_read_journal()) return true;
  if (prepared_.empty()) return false;
  const WorkerTransaction transaction("looking for ended transactions");
  const bool ended = has_ended_prepared(journal::take_snapshot());
  transaction.commit();
  if (ended) pg_atomic_write_u32(&slot_.read_journal, 1);
  return ended;
}

}  // namespace cache_invalidate::delivery
