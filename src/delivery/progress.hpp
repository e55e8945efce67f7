// Progress: remembers durably what has been delivered, and gives the journal's space back.
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

#include <cstdint>
#include <deque>
#include <vector>

#include "delivery/feed.hpp"

namespace cache_invalidate::delivery {

class Progress {
 public:
  Progress(journal::DatabaseSlot& slot, journal::Board& board, Dispatcher& dispatcher, Feed& feed)
      : slot_(slot), board_(board), dispatcher_(dispatcher), feed_(feed) {}

  // At the start: finds the last watermark and tells the targets. Transactions of its own.
  void load();

  // Whatever is due. Transactions of its own; may raise an error.
  void run(TimestampTz now);

  // Writes what was delivered since the last watermark, before the worker ends.
  void finish(TimestampTz now);

  // When run() has something to do; DT_NOEND: not before something is delivered.
  TimestampTz deadline() const;

 private:
  struct Checkpoint {
    core::XidSnapshot snapshot;
    std::uint64_t position;
  };

  // Also looks for prepared transactions that have ended; then a scan begins instead.
  void begin_checkpoint(bool is_new);
  void continue_checkpoint();
  void apply_checkpoints();
  bool is_watermark_due() const;
  core::Watermark current_watermark() const;
  void write_watermark();
  void tend_segments(TimestampTz now);
  bool try_truncate(int segment, TimestampTz now);
  bool is_settled() const;
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
  std::uint64_t checkpoint_position_ = 0;        // of the last one taken

  core::Watermark written_;
  int watermark_segment_ = -1;                   // where the last one stands
  TimestampTz next_tick_ = 0;
  TimestampTz rotated_ = 0;
  TimestampTz truncate_pause_ = 0;
  TimestampTz next_truncate_ = 0;
  BlockNumber pages_[2] = {0, 0};
};

}  // namespace cache_invalidate::delivery
