// Progress: remembers durably what has been delivered.
//
// About once a second, when something was delivered, it takes a checkpoint: a snapshot, the proof that
// everything visible in it has reached this process, and the position by which that was so. A target that has
// acknowledged the position has everything of the snapshot. What each target has is written to the journal
// as a watermark row, so that a restart repeats about a second and not the whole journal.
//
// The proof: a transaction becomes visible a moment before it hands over, and is announced in shared memory from
// before it writes until after it has handed over. So whoever is announced when the snapshot has been taken, and had
// ended in it, is waited for; then the ring is taken as far as it was filled.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "core/watermark.hpp"
#include "delivery/feed.hpp"

namespace cache_invalidate::delivery {

class Progress {
 public:
  Progress(journal::DatabaseSlot& slot, journal::Board& board, Dispatcher& dispatcher, Feed& feed)
      : slot_(slot), board_(board), dispatcher_(dispatcher), feed_(feed) {}

  // At the start: finds the last watermark and tells the targets. Transactions of its own.
  void load();
  // What was found says that batches may have been lost, or cannot be understood: why; nullptr: it does not.
  const char* loss() const { return loss_; }

  // Each cycle: ends a checkpoint that was begun.
  void run();
  // About once a second: a new checkpoint, a watermark. Transactions of its own; may raise an error.
  void tick();

  // Takes what was handed over and writes what was delivered since the last watermark, before the worker ends.
  void finish(TimestampTz now);

  // Nothing is to be remembered: no batch since the last checkpoint, and everybody has what that covers.
  bool is_settled() const;

  // Writes a watermark if it would say anything new. In a transaction of its own.
  void write_if_due();
  // Which segment the last watermark stands in; -1: there is none. It must not be truncated before there is a newer one.
  int segment() const { return watermark_segment_; }
  // Writes one in the running transaction, wherever that may be.
  void write(const pg::Extension& extension);
  // Batches taken up to then left the journal though a replay might have needed them. In watermarks from the next one on.
  TimestampTz discarded_until() const { return discarded_until_; }
  void note_discarded(TimestampTz time) { discarded_until_ = std::max(discarded_until_, time); }
  // From the next watermark on it says that there may be batches which are not in the journal.
  void set_ring_only(bool ring_only) { ring_only_ = ring_only; }

 private:
  struct Checkpoint {
    core::XidSnapshot snapshot;
    std::uint64_t position;
  };

  // Also looks for prepared transactions that have ended; then a scan begins instead.
  void begin_checkpoint(bool is_new);
  void continue_checkpoint();
  const Checkpoint* newest_covered(std::uint64_t from, std::uint64_t position) const;
  void apply_checkpoints();
  core::Watermark current() const;
  static void find_watermark(void* context, int segment, std::string_view row);

  journal::DatabaseSlot& slot_;
  journal::Board& board_;
  Dispatcher& dispatcher_;
  Feed& feed_;

  std::deque<Checkpoint> checkpoints_;           // oldest first
  bool pending_ = false;                         // a checkpoint is being taken
  core::XidSnapshot pending_snapshot_;
  std::vector<journal::Announced> pending_writers_;
  std::uint64_t pending_scans_ = 0;
  std::uint64_t pending_ring_ = 0;
  bool pending_drains_ = false;
  std::uint64_t pending_position_ = 0;
  std::uint64_t checkpoint_position_ = 0;        // when the snapshot of the last one taken was: what came since may not be in it

  bool is_applied_ = true;                       // the newest of them covers all that is owed
  std::uint64_t repetitions_ = 0;                // of messages, when the checkpoints were last looked at

  core::Watermark written_;
  int watermark_segment_ = -1;                   // where the last one stands
  const char* loss_ = nullptr;
  bool ring_only_ = false;
  TimestampTz discarded_until_ = 0;
};

}  // namespace cache_invalidate::delivery
