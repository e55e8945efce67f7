// Feed: where the worker's batches come from. Normally the ring, which costs no table access; the journal at
// the start, after the ring was full, after COMMIT PREPARED, and for a target that was owed more than memory
// holds. It sees to it that every committed batch is taken, and none twice from two sources.
//
// What has been taken is known as a snapshot (`base`: everything in it) and the transactions beyond it, by the ring
// (`recent`) or by the scan that is running (`scanned`). A full scan of the journal makes its own moment the base; between
// scans the progress keeper moves the base forward. The ring is taken during scans too, so that deletes do not wait.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "delivery/dispatcher.hpp"
#include "journal/scan.hpp"
#include "journal/shared.hpp"

namespace cache_invalidate::delivery {

class Feed {
 public:
  Feed(journal::DatabaseSlot& slot, journal::Board& board, Dispatcher& dispatcher)
      : slot_(slot), board_(board), dispatcher_(dispatcher) {}

  // What the journal is to be read for now.
  enum class Scan { none, all, target };
  // That for all goes before one for a target, which gives way; but then it waits until that one has had its turn, or else large
  // transactions could keep a target from ever being told what it lacks.
  Scan due_scan(TimestampTz now) const;
  // Reads everything in the journal that a target does not have yet, and messages that are to be said again. In a
  // transaction. A scan for one target gives way: that target is behind again.
  void begin_full_scan(const pg::Extension& extension);
  // The same for one target that is behind. In a transaction.
  void begin_target_scan(const pg::Extension& extension, Target& target);

  // Takes a bounded number of batches; true: there may be more right now. Starts and ends transactions of its
  // own when it reads the journal.
  bool pump(TimestampTz now);
  // Takes all that the ring holds now, into memory only. No transaction. False: some of it is not ready to be taken, and
  // nothing behind that can be.
  bool drain_ring(TimestampTz now);

  // How many scans for all have begun, and how many of them repeat messages.
  std::uint64_t full_scans() const { return full_scans_; }
  std::uint64_t repetitions() const { return repetitions_; }
  // Everything visible in it has been taken.
  const core::XidSnapshot& base() const { return base_; }

  bool is_scanning() const { return scan_.active(); }
  bool is_scanning_for_all() const { return scan_.active() && filter_.only_target == 0; }
  bool must_read_journal() const { return pg_atomic_read_u32(&slot_.read_journal) != 0; }
  // What may be older than the messages that wait: it comes first, so that they keep the order of the commits.
  enum class Older {
    nothing,
    in_journal,   // and not in the ring: a scan is due
    on_its_way,   // committed, not handed over: it will be in a moment, and wake the worker
  };
  // Takes what has been handed over meanwhile, into memory only. May use a transaction.
  Older look_for_older(TimestampTz now);

  // A row of the journal could not be read since the last call, and had not been met before: it may have been anything.
  bool take_damage() { return std::exchange(has_damage_, false); }

  // Everything visible in `snapshot` has been taken: only the progress keeper can say so.
  void advance_base(const core::XidSnapshot& snapshot);
  // A prepared transaction has ended within `snapshot`, so that its batch is in the journal only.
  bool has_ended_prepared(const core::XidSnapshot& snapshot) const;
  bool has_prepared() const { return !prepared_.empty(); }

  // The last batch that was taken and lies in this segment of the journal: its position, and when that was. 0: none
  // since the last reset.
  struct Last {
    std::uint64_t position = 0;
    TimestampTz time = 0;
  };
  const Last& last(int segment) const { return last_[segment]; }
  void note_last(int segment, std::uint64_t position, TimestampTz time) { last_[segment] = {position, time}; }
  void forget_last(int segment) { last_[segment] = Last(); }

 private:
  static void visit_row(void* context, int segment, std::string_view row);
  void take_row(int segment, std::string_view row);
  void note_damage(std::string_view row);
  void take_entry(const journal::RingEntry& entry, TimestampTz now);
  bool take_entries(TimestampTz now);
  bool pump_ring(TimestampTz now);
  bool pump_scan(TimestampTz now);
  void begin_repetition();
  void finish_scan();
  void read_prepared();
  bool is_known_to_all(std::uint64_t xid) const;
  bool is_overtaken();
  bool is_handover_due() const;

  journal::DatabaseSlot& slot_;
  journal::Board& board_;
  Dispatcher& dispatcher_;
  core::XidSnapshot base_;
  std::unordered_set<std::uint64_t> recent_;
  std::vector<std::uint64_t> prepared_;
  Last last_[2];

  journal::JournalScan scan_;
  Dispatcher::ScanFilter filter_;
  std::unordered_set<std::uint64_t> scanned_;  // by the full scan that is running
  bool is_first_ = false;                      // of this worker
  TimestampTz scan_time_ = 0;
  bool gave_way_ = false;  // a scan for a target, and none has had its turn since
  std::uint64_t full_scans_ = 0;
  std::uint64_t repetitions_ = 0;
  std::string payload_;
  std::unordered_set<std::size_t> damaged_;  // rows, by their hash
  bool has_damage_ = false;
};

}  // namespace cache_invalidate::delivery
