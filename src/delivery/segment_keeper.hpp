// SegmentKeeper: gives the journal's space back, and keeps it bounded.
//
// A segment that is not active is truncated when all of it has been delivered everywhere and is older than the replay
// window, which is what a Redis that forgot is told again. If that does not come about and the journal has grown to
// half of max_journal_size, what is still owed is copied forward, folded as it is in memory, and the segment truncated;
// messages that nobody could be told are replaced by a reset message. If even that is not possible, because somebody holds
// a lock on the segment, and the journal reaches max_journal_size, writers go by the ring only (RingOnly).
#pragma once

#include <cstdint>

#include "delivery/feed.hpp"
#include "delivery/progress.hpp"

namespace cache_invalidate::delivery {

class SegmentKeeper {
 public:
  SegmentKeeper(journal::DatabaseSlot& slot, journal::Board& board, Dispatcher& dispatcher, Feed& feed, Progress& progress)
      : slot_(slot), board_(board), dispatcher_(dispatcher), feed_(feed), progress_(progress) {}

  // About once a second, after the progress keeper. Transactions of its own; may raise an error.
  void tick(TimestampTz now);
  // Each cycle: much is written in a second, and from the limit on it must not be.
  void watch(TimestampTz now);
  // When the next tick is of use, if nothing else happens; DT_NOEND: nothing is left to do.
  TimestampTz deadline(TimestampTz now) const;

  // Before the worker ends: writes what is owed and perhaps in no journal.
  void bequeath(TimestampTz now);

  // The journal is at its limit.
  bool is_full() const { return is_full_; }

 private:
  std::uint64_t bytes() const { return (static_cast<std::uint64_t>(pages_[0]) + pages_[1]) * BLCKSZ; }
  bool is_crowded() const;
  TimestampTz kept_until(int segment) const;
  static bool is_window_open(const Target& target, TimestampTz kept);
  bool presume_lost();
  bool is_kept(int segment, TimestampTz now) const;
  journal::JournalHold find_hold(int segment, TimestampTz now);
  bool may_truncate(int segment, TimestampTz now) const;
  bool try_truncate(int segment, TimestampTz now);
  bool copy_forward(int segment, TimestampTz now);
  void rotate(int active, TimestampTz now);
  void measure(TimestampTz now);
  void note_size();

  journal::DatabaseSlot& slot_;
  journal::Board& board_;
  Dispatcher& dispatcher_;
  Feed& feed_;
  Progress& progress_;

  BlockNumber pages_[2] = {0, 0};
  TimestampTz measured_ = 0;
  TimestampTz rotated_ = 0;
  TimestampTz truncate_pause_ = 0;
  TimestampTz next_truncate_ = 0;
  bool is_full_ = false;
};

}  // namespace cache_invalidate::delivery
