#include "delivery/outbox.hpp"

#include <algorithm>
#include <string>

#include "delivery/retry.hpp"
#include "delivery/signals.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kMillisecond = 1000;

}  // namespace

void Outbox::add(const core::BatchReader::Item& item, const core::BatchHeader& header, std::uint64_t position,
                 TimestampTz committed, TimestampTz now) {
  pg_atomic_fetch_add_u64(&board_.counters.messages, 1);
  const bool waits = held_ || paused_ || settings::batch_window > 0;
  if (!waits && !is_wanted(*item.shape)) return;
  if (empty()) waiting_since_ = now;
  if (!held_) latency_.begin(position, committed);
  make_room();
  if (header.part) {
    waiting_.add_part({*item.shape, item.operation, std::string(item.id), std::string(item.fields), header}, item.shape_number,
                      item.exact, position);
  } else {
    waiting_.add(*item.shape, item.operation, item.id, item.fields, header, position);
  }
}

// Whoever listens from now on is not owed what was committed before.
bool Outbox::is_wanted(const core::Shape& shape) {
  const auto may_publish = [this](std::uint32_t server) {
    const auto is_this = [server](const auto& target) { return target->server() == server; };
    const auto target = std::find_if(targets_.begin(), targets_.end(), is_this);
    return target == targets_.end() || (*target)->publishes();  // one that is not known yet may
  };
  return listeners_.may_hear(shape) || std::any_of(shape.servers.begin(), shape.servers.end(), may_publish);
}

void Outbox::make_room() {
  if (is_full() && (is_stuck() || gate_.is_clogged(GetCurrentTimestamp()))) give_up("too many messages wait");
}

// A reset message will stand for them.
void Outbox::give_up(const char* reason) {
  if (!reset_due) ereport(LOG, (errmsg("cache_invalidate: %s: a reset message will stand for them", reason)));
  reset_due = true;
  waiting_.clear();
  sending_.clear();
  sending_bytes_ = 0;
}

bool Outbox::wants_order() {
  const core::MessageQueue::Waiting* first = waiting_.front();
  return first != nullptr && first->oldest > ordered_;
}

void Outbox::hold(bool hold) {
  if (held_ && !hold) waiting_.sort_by_time();
  held_ = hold;
}

bool Outbox::is_due(TimestampTz now) const {
  return waiting_.size() >= static_cast<std::size_t>(settings::batch_size) || is_full() ||
         now >= waiting_since_ + settings::batch_window * kMillisecond;
}

bool Outbox::send(std::uint64_t position, TimestampTz now) {
  // What folds makes room to read on.
  if (held_ && is_full()) waiting_.fold_early();
  if (reset_due && now >= notify_queue_.next_look()) notify_queue_.look(now);
  if ((held_ && !is_full()) || paused_ || now < retry_at_) return false;
  board_.notify_held = is_notify_held();
  waiting_.put_in_order();
  const std::uint64_t up_to = gate_.open_to(position, now);
  if (sending_.empty() && (!may_leave(waiting_.front(), up_to) || !is_due(now))) return false;
  take_next(up_to);
  CACHE_INVALIDATE_CRASH_POINT("outbox.taken", fails);
  gate_.note_sent(up_to, now);
  const bool sent = send_taken(now);
  if (sent) latency_.arrived(oldest(position + 1) - 1, GetCurrentTimestamp(), board_.latency);
  return sent;
}

bool Outbox::may_leave(const core::MessageQueue::Waiting* message, std::uint64_t up_to) const {
  return message != nullptr && message->position <= up_to && message->oldest <= ordered_;
}

void Outbox::take_next(std::uint64_t up_to) {
  const auto most = std::min(static_cast<std::size_t>(settings::batch_size), kMostAtOnce);
  for (const auto* next = waiting_.front(); may_leave(next, up_to) && sending_.size() < most; next = waiting_.front()) {
    sending_.emplace_back();  // before it is taken: there may be no memory for it
    sending_.back() = waiting_.pop();
    sending_bytes_ += sending_.back().message.text_size();
  }
}

bool Outbox::send_taken(TimestampTz now) {
  std::uint64_t sent = 0;
  const auto is_heard = [this](const core::MessageQueue::Waiting& waiting) { return listeners_.may_hear(waiting.message.shape); };
  const bool notifies = std::any_of(sending_.begin(), sending_.end(), is_heard);
  if (notifies && notify_queue_.take_room(now, sending_bytes_)) {
    std::string problem;
    const bool committed = run_signal_transaction("sending messages", &problem, [&](SignalTransaction& transaction) {
      CACHE_INVALIDATE_CRASH_POINT("outbox.notify", caught);
      for (const core::MessageQueue::Waiting& waiting : sending_) sent += is_heard(waiting) && transaction.notify(waiting.message) ? 1 : 0;
      CACHE_INVALIDATE_CRASH_POINT("outbox.notified", caught);
    });
    if (!committed) {
      ereport(LOG, (errmsg("cache_invalidate: could not send messages, will try again: %s", problem.c_str())));
      ++failures_;
      retry_at_ = retry_time(backoff_, now);
      return false;
    }
  } else if (notifies) {
    reset_due = true;
  }
  CACHE_INVALIDATE_CRASH_POINT("outbox.committed", fails);
  publish();
  CACHE_INVALIDATE_CRASH_POINT("outbox.published", fails);
  sending_.clear();
  sending_bytes_ = 0;
  failures_ = 0;
  backoff_.reset();
  CACHE_INVALIDATE_CRASH_POINT("outbox.sent", fails);
  pg_atomic_fetch_add_u64(&board_.counters.notified, sent);
  return true;
}

// Behind the deletes, like NOTIFY. Who cannot be reached owes it.
void Outbox::publish() {
  const auto publishes = [](const auto& target) { return target->publishes(); };
  if (std::none_of(targets_.begin(), targets_.end(), publishes)) return;
  for (const core::MessageQueue::Waiting& waiting : sending_) {
    const core::Message& message = waiting.message;
    std::string payload;
    for (const auto& target : targets_) {
      const auto& servers = message.shape.servers;
      if (!target->publishes() || std::find(servers.begin(), servers.end(), target->server()) == servers.end()) continue;
      if (payload.empty()) payload = render(message);
      target->publish(message, payload, waiting.position);
    }
  }
}

std::uint64_t Outbox::oldest(std::uint64_t next) {
  if (const core::MessageQueue::Waiting* first = waiting_.front()) next = std::min(next, first->oldest);
  for (const core::MessageQueue::Waiting& waiting : sending_) next = std::min(next, waiting.oldest);
  return next;
}

TimestampTz Outbox::deadline(std::uint64_t position, TimestampTz now) {
  if (paused_) return DT_NOEND;
  if (empty()) return reset_due ? notify_queue_.next_look() : DT_NOEND;
  // Due once its window is over; blocked by a target until that has answered or signal_timeout is over.
  const TimestampTz window = waiting_since_ + settings::batch_window * kMillisecond;
  const core::MessageQueue::Waiting* first = waiting_.front();
  const bool blocked = first != nullptr && first->position > gate_.open_to(position, now);
  return std::max(window, blocked ? gate_.opens(now) : retry_at_);
}

}  // namespace cache_invalidate::delivery
