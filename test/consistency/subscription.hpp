// The triggers' messages as they come, by LISTEN or by SUBSCRIBE; it connects again whenever that is needed.
#pragma once

#include <memory>
#include <string>

#include "cache.hpp"
#include "database.hpp"
#include "log.hpp"
#include "shared.hpp"

namespace cache_invalidate::consistency {

class Subscription {
 public:
  Subscription(Shared& shared, Channel channel);

  enum class Event { none, message, gap };

  // Waits up to wait_ms. `gap`: messages before now may be missing; from now on none is. `message`: text()
  // has it.
  Event next(int wait_ms);
  const std::string& text() const { return text_; }
  // Since when messages may be missing; of the last gap.
  Nanoseconds gap_begin() const { return gap_begin_; }
  // Until when none is missing, unless there is a gap.
  Nanoseconds last_seen() const { return last_seen_; }
  bool is_listening() const { return is_listening_; }

 private:
  Event take_notification(int wait_ms);
  Event take_publication(int wait_ms);
  bool connect();

  Shared& shared_;
  const Channel channel_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Cache> cache_;
  int generation_ = 0;
  bool is_listening_ = false;
  Nanoseconds last_seen_ = 0;
  Nanoseconds gap_begin_ = 0;
  std::string text_;
};

// A thread's work: notes every message and every gap until it is over.
void note_messages(Shared& shared, Channel channel);

}  // namespace cache_invalidate::consistency
