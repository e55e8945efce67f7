// RingOnly: batches that are not in the journal, because cache_invalidate.durability is off or the journal is at its limit.
//
// A writer may leave the journal out only while the worker allows it, and that it does when a durable watermark says that
// batches may be lost. Whoever finds such a watermark at the start cannot know what was lost, and resets the caches; so
// does a worker that is told that a batch did not fit the ring. A worker that ends in order forbids it, waits for those
// who were allowed, delivers or journals what it owes, and takes the word back.
#pragma once

#include <vector>

#include "delivery/dispatcher.hpp"
#include "delivery/progress.hpp"
#include "journal/shared.hpp"

namespace cache_invalidate::delivery {

class RingOnly {
 public:
  RingOnly(journal::DatabaseSlot& slot, journal::Board& board, Dispatcher& dispatcher, Progress& progress)
      : slot_(slot), board_(board), dispatcher_(dispatcher), progress_(progress) {}

  // At the start, when the watermark has been read.
  void start();
  // Each cycle: allows what is asked for, takes the word back when nobody has used it for a while, notices losses.
  // Transactions of its own.
  void run(bool journal_is_full, TimestampTz now);

  // Batches were lost, and no reset made up for it yet: why, in a few words; nullptr: none.
  const char* loss() const { return loss_; }
  // The same for whatever else is lost. Watermarks say so until it is made up for.
  void note_loss(const char* reason);
  // The reset has committed.
  void note_reset();

  // Before the worker ends. After forbid(), is_quiet() tells when all that were allowed have handed over or given up.
  bool is_in_use() const { return is_allowed_ || is_ending_; }
  void forbid();
  bool is_quiet();
  // Everything is delivered or in the journal: the next watermark may say so, unless a reset is due still.
  void take_back();

 private:
  void tell_writers(bool journal_is_full);
  void allow();
  void end_if_idle(TimestampTz now);

  journal::DatabaseSlot& slot_;
  journal::Board& board_;
  Dispatcher& dispatcher_;
  Progress& progress_;
  bool is_allowed_ = false;
  bool is_ending_ = false;             // forbidden, and the word not taken back yet
  std::uint64_t ring_end_ = 0;         // then: what was handed over before
  std::uint64_t used_position_ = 0;    // of the last batch that came so
  TimestampTz used_at_ = 0;
  const char* loss_ = nullptr;
  std::vector<journal::Announced> writers_;  // who may have been allowed when it was forbidden
};

}  // namespace cache_invalidate::delivery
