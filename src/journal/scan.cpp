#include "journal/scan.hpp"

#include <algorithm>

#include "journal/segment.hpp"
#include "pg/xid.hpp"

namespace cache_invalidate::journal {
namespace {

constexpr BlockNumber kSlicePages = 128;
constexpr BlockNumber kPassedPages = 4096;  // looked at, not read

std::uint64_t position_of(Relation table, BlockNumber page) {
  const Buffer buffer = ReadBuffer(table, page);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  const XLogRecPtr position = PageGetLSN(BufferGetPage(buffer));
  UnlockReleaseBuffer(buffer);
  return position;
}

}  // namespace

core::XidSnapshot take_snapshot() {
  Snapshot snapshot = GetLatestSnapshot();
  const FullTransactionId next = ReadNextFullTransactionId();
  core::XidSnapshot result;
  result.xmin = pg::widen_xid(snapshot->xmin, next);
  result.xmax = pg::widen_xid(snapshot->xmax, next);
  for (uint32 i = 0; i < snapshot->xcnt; ++i) result.in_progress.push_back(pg::widen_xid(snapshot->xip[i], next));
  std::sort(result.in_progress.begin(), result.in_progress.end());
  return result;
}

void JournalScan::begin(const pg::Extension& extension, std::uint64_t since) {
  since_ = since;
  moment_ = take_snapshot();
  // Sizes after the snapshot: whatever it shows lies in these pages.
  for (int i = 0; i < 2; ++i) pages_[i] = pages(extension, i);
  segment_ = 0;
  next_ = 0;
  active_ = true;
}

// The first page from `from` on that was written to since, or was not.
BlockNumber JournalScan::find_written(Relation table, BlockNumber from, BlockNumber end, bool written) const {
  if (since_ == 0) return written ? from : end;
  // What skipped the WAL has no position.
  const auto is_written = [this](std::uint64_t position) { return position == 0 || position > since_; };
  while (from < end && is_written(position_of(table, from)) != written) ++from;
  return from;
}

void JournalScan::step(const pg::Extension& extension, Visitor visit, void* context) {
  while (segment_ < 2 && next_ >= pages_[segment_]) ++segment_, next_ = 0;
  if (segment_ >= 2) {
    active_ = false;
    return;
  }
  Relation table = try_relation_open(extension.journal[segment_], AccessShareLock);
  const BlockNumber now = table == nullptr ? 0 : RelationGetNumberOfBlocks(table);
  const BlockNumber last = std::min(pages_[segment_], now);
  const bool is_left = next_ < last;
  const BlockNumber start = is_left ? find_written(table, next_, std::min(last, next_ + kPassedPages), true) : next_;
  const BlockNumber end = is_left ? find_written(table, start, std::min(last, start + kSlicePages), false) : next_;
  if (end > start) {
    PushActiveSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan_strat(table, GetActiveSnapshot(), 0, nullptr, true, false);
    heap_setscanlimits(scan, start, end - start);
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
      bool is_null;
      const Datum value = heap_getattr(tuple, 1, RelationGetDescr(table), &is_null);
      if (is_null) continue;
      bytea* row = DatumGetByteaPP(value);
      visit(context, segment_, {VARDATA_ANY(row), VARSIZE_ANY_EXHDR(row)});
      if (reinterpret_cast<Pointer>(row) != DatumGetPointer(value)) pfree(row);
    }
    table_endscan(scan);
    PopActiveSnapshot();
  }
  if (table != nullptr) relation_close(table, AccessShareLock);
  // A segment that shrank behind our back (TRUNCATE by hand) has no more pages.
  next_ = is_left ? end : pages_[segment_];
}

}  // namespace cache_invalidate::journal
