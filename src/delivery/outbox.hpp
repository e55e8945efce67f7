// Outbox: the messages that wait for their turn, and their way out: NOTIFY, in a transaction of the worker, and PUBLISH.
//
// What cannot be said any more, because NOTIFY's queue is full or too much waits, is replaced by a reset message once
// there is room: whoever hears it forgets all that he knows.
#pragma once

#include <cstdint>
#include <vector>

#include "core/backoff.hpp"
#include "core/message_queue.hpp"
#include "delivery/gate.hpp"
#include "delivery/listeners.hpp"
#include "delivery/notify_queue.hpp"
#include "journal/board.hpp"

namespace cache_invalidate::delivery {

class Outbox {
 public:
  Outbox(journal::Board& board, Gate& gate, const Targets& targets) : board_(board), gate_(gate), targets_(targets) {}

  // A message of the batch at `position`. It is forgotten if nobody can get it when its turn comes, which may be at once.
  // Throws std::bad_alloc.
  void add(const core::BatchReader::Item& item, const core::BatchHeader& header, std::uint64_t position, TimestampTz committed,
           TimestampTz now);
  void note_part(const core::BatchHeader& header) { waiting_.note_part(header); }

  bool empty() { return waiting_.empty() && sending_.empty(); }
  std::size_t size() const { return waiting_.size() + sending_.size(); }
  std::size_t bytes() const { return waiting_.bytes() + sending_bytes_; }
  // Memory is bounded: no more batches until some have left, or were given up. Only what the order asks for is still taken: not
  // more than the ring holds.
  bool is_full() const { return size() >= kMostWaiting || bytes() >= kMostBytes; }

  // When it is full and nothing can leave: gives up what waits, since deletes wait with it.
  void make_room();

  // Whether the next message is of a batch behind the position up to which the order is known.
  bool wants_order();
  // Whatever was committed before the batches up to here has been taken: their messages may leave.
  void note_order(std::uint64_t position) { ordered_ = position; }

  // Messages are held while a scan of the journal runs, and sorted and folded when it is done. If too many wait, the
  // oldest leave earlier.
  void hold(bool hold);

  // While paused, nothing leaves.
  void pause(bool paused) { paused_ = paused; }

  // Sends those whose turn has come: not behind `position`. One that fails is tried again later. True: some were sent.
  bool send(std::uint64_t position, TimestampTz now);
  // The position of the oldest that has not left; `next` if there is none.
  std::uint64_t oldest(std::uint64_t next);
  // When send() has something to do; DT_NOEND: not before something else happens.
  TimestampTz deadline(std::uint64_t position, TimestampTz now);

  // What waits is not sent any more: a reset message will stand for it.
  void give_up(const char* reason);

  // Messages were given up, and nobody was told yet. Durable only when the watermark says so.
  bool reset_due = false;
  bool is_notify_held() const { return !notify_queue_.has_room(); }
  // It can be told now.
  bool may_reset() const { return reset_due && !paused_ && notify_queue_.has_room(); }

 private:
  static constexpr std::size_t kMostAtOnce = 1000;  // few enough for a connection that publishes them
  static constexpr int kMostFailures = 3;
  static constexpr std::size_t kMostWaiting = 100000;
  static constexpr std::size_t kMostBytes = 64 * 1024 * 1024;

  bool is_wanted(const core::Shape& shape);
  bool is_due(TimestampTz now) const;
  // A scan may go on when what is paused is resumed: its messages are all in the journal.
  bool is_stuck() const { return held_ ? failures_ >= kMostFailures : paused_ || failures_ > 0; }
  bool may_leave(const core::MessageQueue::Waiting* message, std::uint64_t up_to) const;
  void take_next(std::uint64_t up_to);
  bool send_taken(TimestampTz now);
  void publish();

  journal::Board& board_;
  Gate& gate_;
  const Targets& targets_;
  NotifyQueue notify_queue_;
  Listeners listeners_;
  core::MessageQueue waiting_;
  std::vector<core::MessageQueue::Waiting> sending_;  // taken from the queue, not yet committed
  std::size_t sending_bytes_ = 0;
  std::uint64_t ordered_ = 0;  // a position
  core::LatencyWatch latency_;
  TimestampTz waiting_since_ = 0;
  int failures_ = 0;  // of sending, in a row
  core::Backoff backoff_;
  TimestampTz retry_at_ = 0;
  bool held_ = false;
  bool paused_ = false;
};

}  // namespace cache_invalidate::delivery
