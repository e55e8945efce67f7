// Feed: where the worker's batches come from. Normally the ring, which costs no table access; the journal at
// the start, after the ring was full, after COMMIT PREPARED, and for a target that was owed more than memory
// holds. It sees to it that every committed batch is taken, and none twice from two sources.
//
// What has been taken is known as a snapshot (`base`: everything in it) and the transactions beyond it
// (`recent`). A full scan of the journal makes its own moment the base; between scans the progress keeper
// moves the base forward.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "delivery/dispatcher.hpp"
#include "journal/scan.hpp"
#include "journal/shared.hpp"

namespace cache_invalidate::delivery {

class Feed {
 public:
  Feed(journal::DatabaseSlot& slot, journal::Board& board, Dispatcher& dispatcher)
      : slot_(slot), board_(board), dispatcher_(dispatcher) {}

  // Reads everything in the journal that a target does not have yet. In a transaction. A scan for one target
  // gives way: that target is detached again, so that its slowness delays nobody.
  void begin_full_scan(const pg::Extension& extension);
  // The same for one target that was detached and is up again. In a transaction.
  void begin_target_scan(const pg::Extension& extension, Target& target);

  // Takes a bounded number of batches; true: there may be more right now. Starts and ends transactions of its
  // own when it reads the journal.
  bool pump(TimestampTz now);
  // Takes all that the ring holds now, into memory only. No transaction.
  void drain_ring(TimestampTz now);

  // How many scans for all have begun.
  std::uint64_t full_scans() const { return full_scans_; }
  // Everything visible in it has been taken.
  const core::XidSnapshot& base() const { return base_; }

  bool is_scanning() const { return scan_.active(); }
  bool is_scanning_for_all() const { return scan_.active() && filter_.only_target == 0; }
  bool must_read_journal() const { return pg_atomic_read_u32(&slot_.read_journal) != 0; }
  // Is something in the journal only that may be older than what the ring gave? Whoever hands nothing over has raised
  // the flag, or ended its prepared transaction, before it let go of its row locks: so what was committed to the same
  // rows behind it came into the ring later. Then a scan is due. May use a transaction.
  bool is_overtaken();

  // Everything visible in `snapshot` has been taken: only the progress keeper can say so.
  void advance_base(const core::XidSnapshot& snapshot);
  // A prepared transaction has ended within `snapshot`, so that its batch is in the journal only.
  bool has_ended_prepared(const core::XidSnapshot& snapshot) const;
  bool has_prepared() const { return !prepared_.empty(); }

  // The position of the last batch that lies in this segment of the journal; 0: none since the last reset.
  std::uint64_t last_position(int segment) const { return last_position_[segment]; }
  void forget_position(int segment) { last_position_[segment] = 0; }

 private:
  static void visit_row(void* context, int segment, std::string_view row);
  void take_row(int segment, std::string_view row);
  void take_entry(const journal::RingEntry& entry, TimestampTz now);
  bool pump_ring(TimestampTz now);
  bool pump_scan(TimestampTz now);
  void finish_scan();
  void read_prepared();
  bool was_taken(std::uint64_t xid) const { return base_.contains(xid) || recent_.count(xid) != 0; }

  journal::DatabaseSlot& slot_;
  journal::Board& board_;
  Dispatcher& dispatcher_;
  core::XidSnapshot base_;
  std::unordered_set<std::uint64_t> recent_;
  std::vector<std::uint64_t> prepared_;
  std::uint64_t last_position_[2] = {0, 0};

  journal::JournalScan scan_;
  Dispatcher::ScanFilter filter_;
  std::vector<std::uint64_t> sorted_recent_;
  TimestampTz scan_time_ = 0;
  std::uint64_t full_scans_ = 0;
  std::string payload_;
};

}  // namespace cache_invalidate::delivery
