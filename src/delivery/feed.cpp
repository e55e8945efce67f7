#include "delivery/feed.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "core/watermark.hpp"
#include "delivery/transactions.hpp"
#include "journal/handover.hpp"
#include "journal/scan.hpp"
#include "pg/clock.hpp"
#include "pg/crash_point.hpp"
#include "pg/xid.hpp"

namespace cache_invalidate::delivery {
namespace {
constexpr int kEntriesAtOnce = 2000;
constexpr std::size_t kMostDamaged = 1000;
}

Feed::Scan Feed::due_scan(TimestampTz now) const {
  if (is_scanning_for_all()) return Scan::none;
  const bool is_target_due = !scan_.active() && dispatcher_.next_to_scan() != nullptr;
  // Messages that leave no room wait for the scan for all.
  const bool waits = gave_way_ && (scan_.active() || is_target_due) && !dispatcher_.is_full();
  if (!waits && (must_read_journal() || dispatcher_.gate().wants_repeat(now))) return Scan::all;
  return is_target_due ? Scan::target : Scan::none;
}

void Feed::begin_full_scan(const pg::Extension& extension) {
  ++full_scans_;
  for (const auto& target : dispatcher_.targets()) {
    if (scan_.active() && target->server() == filter_.only_target) target->fall_behind();
  }
  // In this order: what is flagged, prepared or committed after each step is seen by a later one, or flagged
  // again.
  CACHE_INVALIDATE_CRASH_POINT("feed.scan.begin", fails);
  pg_atomic_write_u32(&slot_.read_journal, 0);
  pg_memory_barrier();
  read_prepared();
  is_first_ = base_ == core::XidSnapshot();
  filter_ = {0, is_first_ ? dispatcher_.signals_delivered : base_, &recent_, {}};
  for (const auto& target : dispatcher_.targets()) {
    if (is_first_) target->attach();
    // Attached targets have taken everything of the base, whatever was acknowledged of it.
    if (!target->is_detached()) target->taken = is_first_ ? target->delivered : base_;
  }
  gave_way_ = gave_way_ || dispatcher_.next_to_scan() != nullptr;
  begin_repetition();
  std::uint64_t since = base_.written_before;
  for (const core::XidSnapshot& repeat : filter_.repeats) since = std::min(since, repeat.written_before);
  scanned_.clear();
  scan_.begin(extension, since);
  CACHE_INVALIDATE_CRASH_POINT("feed.scan.begun", fails);
  dispatcher_.outbox().hold(true);
  pg_atomic_fetch_add_u64(&board_.counters.journal_scans, 1);
}

void Feed::begin_repetition() {
  filter_.repeats = dispatcher_.gate().take_repeats(dispatcher_.outbox().reset_due);
  if (filter_.repeats.empty()) return;
  ++repetitions_;
  // Until they have left, they are owed again; so is still what has not left at all.
  for (const core::XidSnapshot& repeat : filter_.repeats) {
    if (repeat.is_within(dispatcher_.signals_delivered)) dispatcher_.signals_delivered = repeat;
  }
}

void Feed::begin_target_scan(const pg::Extension& extension, Target& target) {
  CACHE_INVALIDATE_CRASH_POINT("feed.target_scan", fails);
  target.attach();
  target.taken = target.delivered;
  target.reliable_from = std::numeric_limits<std::uint64_t>::max();  // until the scan is done
  scan_.begin(extension, target.taken.written_before);
  filter_ = {target.server(), {}, nullptr, {}};
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

// Nobody has to be told of it: most of what a scan meets.
bool Feed::is_known_to_all(std::uint64_t xid) const {
  return filter_.only_target == 0 && !is_first_ && filter_.repeats.empty() && (base_.contains(xid) || recent_.count(xid) != 0);
}

// Every scan may meet it again, until its segment is truncated.
void Feed::note_damage(std::string_view row) {
  if (damaged_.size() >= kMostDamaged) damaged_.clear();
  if (!damaged_.insert(std::hash<std::string_view>()(row)).second) return;
  has_damage_ = true;
  ereport(WARNING, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("cache_invalidate: skipped a damaged row of the journal")));
}

void Feed::take_row(int segment, std::string_view row) {
  if (!core::is_batch(row)) {
    if (!core::Watermark::decode(row).ok()) note_damage(row);
    return;
  }
  core::Result<core::BatchReader> opened = core::BatchReader::open(row);
  if (opened.ok()) {
    const std::uint64_t xid = opened.value().header().xid;
    // Committed after the scan began: it comes through the ring, or with the next scan.
    if (!scan_.moment().contains(xid) || is_known_to_all(xid)) return;
    if (filter_.only_target == 0) scanned_.insert(xid);
  }
  const bool is_new = filter_.only_target == 0 && opened.ok() && !filter_.base.contains(opened.value().header().xid);
  dispatcher_.begin_batch(scan_time_, is_new);
  last_[segment] = {dispatcher_.position(), scan_time_};
  const TimestampTz committed = opened.ok() ? pg::server_time(opened.value().header().time) : scan_time_;
  if (!opened.ok() || !dispatcher_.take_chunk(row, committed, &filter_)) note_damage(row);
  // What a start or a replay repeats was delivered long ago.
  dispatcher_.end_batch(is_first_ || filter_.only_target != 0 ? 0 : committed);
}

bool Feed::pump_scan(TimestampTz now) {
  if (filter_.only_target != 0) {
    const auto is_this = [this](const auto& target) { return target->server() == filter_.only_target && !target->is_detached(); };
    if (std::none_of(dispatcher_.targets().begin(), dispatcher_.targets().end(), is_this)) {
      scan_.cancel();
      gave_way_ = false;
      return true;
    }
  }
  scan_time_ = now;
  const WorkerTransaction transaction("reading the journal");
  CACHE_INVALIDATE_CRASH_POINT("feed.scan.slice", fails);
  scan_.step(transaction.extension(), &Feed::visit_row, this);
  dispatcher_.end_run();
  CACHE_INVALIDATE_CRASH_POINT("feed.scan.read", fails);
  if (!scan_.active()) finish_scan();
  transaction.commit();
  CACHE_INVALIDATE_CRASH_POINT("feed.scan.committed", fails);
  return true;
}

void Feed::finish_scan() {
  for (const auto& target : dispatcher_.targets()) {
    if (filter_.only_target == 0 || target->server() == filter_.only_target) target->reliable_from = dispatcher_.position();
  }
  if (filter_.only_target != 0) {
    gave_way_ = false;
    return;
  }
  core::XidSnapshot moment = scan_.moment();
  moment.written_before = base_.written_before;  // it holds still; the next checkpoint has a newer one
  advance_base(moment);
  scanned_.clear();
  dispatcher_.outbox().hold(false);
}

void Feed::take_entry(const journal::RingEntry& entry, TimestampTz now) {
  const bool prepared = entry.kind == static_cast<std::uint32_t>(journal::HandoverKind::prepared);
  // What is in the ring only comes once, whatever of its transaction came by the journal.
  const bool ring_only = entry.kind == static_cast<std::uint32_t>(journal::HandoverKind::volatile_batch);
  if (!ring_only && (base_.contains(entry.xid) || recent_.count(entry.xid) != 0 || scanned_.count(entry.xid) != 0)) return;
  if (prepared) {
    prepared_.push_back(entry.xid);
    return;
  }
  dispatcher_.begin_batch(now, true);
  if (!ring_only) last_[entry.segment & 1] = {dispatcher_.position(), now};
  core::ByteReader chunks(payload_);
  const TimestampTz committed = pg::server_time(entry.commit_time);
  while (!chunks.at_end()) {
    const std::string_view chunk = chunks.bytes();
    if (!chunks.ok()) break;
    dispatcher_.take_chunk(chunk, committed, nullptr);
  }
  // Parts of the same transaction may still come by the journal.
  if (!ring_only) recent_.insert(entry.xid);
  if (ring_only) dispatcher_.gate().note_volatile(dispatcher_.position());
  // No scan brings it to a server that is not known yet.
  if (ring_only && dispatcher_.lacks_servers()) pg_atomic_write_u32(&slot_.volatile_lost, 1);
  dispatcher_.end_batch(committed);
}

bool Feed::take_entries(TimestampTz now) {
  journal::RingEntry entry;
  for (int i = 0; i < kEntriesAtOnce; ++i) {
    if (!board_.ring()->front(entry, payload_)) return false;
    CACHE_INVALIDATE_CRASH_POINT("feed.ring", fails);
    take_entry(entry, now);
    CACHE_INVALIDATE_CRASH_POINT("feed.ring.taken", fails);
    board_.ring()->pop();
    CACHE_INVALIDATE_CRASH_POINT("feed.ring.popped", fails);
    if (dispatcher_.is_full()) break;
  }
  return true;
}

bool Feed::pump_ring(TimestampTz now) {
  const bool more = take_entries(now);
  dispatcher_.end_run();
  return more;
}

bool Feed::drain_ring(TimestampTz now) {
  const std::uint64_t end = board_.ring()->reserved();
  while (board_.ring()->consumed() < end && pump_ring(now)) {
  }
  return board_.ring()->consumed() >= end;
}

bool Feed::pump(TimestampTz now) {
  dispatcher_.outbox().make_room();
  if (dispatcher_.is_full()) return false;
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

// Has somebody committed who has not handed over yet?
bool Feed::is_handover_due() const {
  bool is_due = false;
  journal::for_each_announced([&](const journal::Announced& writer) {
    is_due = is_due || (recent_.count(writer.xid) == 0 && !TransactionIdIsInProgress(static_cast<TransactionId>(writer.xid)));
  });
  return is_due;
}

// A commit is visible before it is handed over, and who sees it need not wait for its locks: so one may hand over before another
// whose row it changed again. But the other is announced until it has handed over, or raised the flag of the journal.
Feed::Older Feed::look_for_older(TimestampTz now) {
  Outbox& outbox = dispatcher_.outbox();
  if (outbox.empty()) return Older::nothing;
  if (outbox.wants_order()) {
    const std::uint64_t position = dispatcher_.position();
    // While a scan runs, messages are held, or there are too many of them to be in order.
    if (!is_scanning_for_all()) {
      pg_memory_barrier();
      if (is_handover_due()) return Older::on_its_way;
      pg_memory_barrier();
      drain_ring(now);
    }
    outbox.note_order(position);
  }
  return !is_scanning_for_all() && is_overtaken() ? Older::in_journal : Older::nothing;
}

// Is something in the journal only that may be older than what the ring gave?
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
