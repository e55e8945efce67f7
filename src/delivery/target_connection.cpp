// The connection of a target: opened, watched, given up and tried again.
#include <algorithm>
#include <random>

#include "delivery/target.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kMillisecond = 1000;
constexpr TimestampTz kSecond = 1000 * kMillisecond;

std::uint32_t random_number() {
  static std::mt19937* generator = new std::mt19937(std::random_device{}());
  return static_cast<std::uint32_t>((*generator)());
}

}  // namespace

void Target::connect(TimestampTz now) {
  socket_changed_ = true;
  commands_.clear();
  opened_at_ = last_progress_ = now;
  told_refusal_ = false;
  if (!connection_->open()) fail(connection_->failure(), now);
}

// All that was not acknowledged is owed still.
void Target::give_up_connection() {
  connection_->close();
  socket_changed_ = true;
  ready_at_ = 0;
  commands_.clear();
  put_back();
  next_key_ = acknowledged_keys_ = 0;
}

void Target::fail(const redis::Failure& failure, TimestampTz now) {
  // A connection that was of use, or stayed for a while: the next attempt is a first one. One that only ever
  // opens is not, or we would knock in a loop.
  if (ready_at_ != 0 && now >= ready_at_ + kSecond) backoff_.reset();
  give_up_connection();
  if (failure.reply_class == redis::ReplyClass::configuration || failure.reply_class == redis::ReplyClass::poison) {
    backoff_.slow_down();
  }
  retry_at_ = now + backoff_.next(random_number()) * kMillisecond;
  if (status_ != nullptr) pg_atomic_fetch_add_u64(&status_->failures, 1);
  set_state(journal::TargetState::down, failure.text);
}

void Target::pause(bool paused) {
  if (paused == paused_) return;
  paused_ = paused;
  if (!options_.enabled) return;
  if (paused) {
    give_up_connection();
    backoff_.reset();
    retry_at_ = 0;
  }
  set_idle_state();
}

void Target::advance(TimestampTz now) {
  if (!options_.enabled || paused_) return;
  using State = redis::Connection::State;
  if (connection_->state() == State::closed) {
    if (now >= retry_at_) connect(now);
    return;
  }
  if (connection_->state() != State::ready) {
    if (now >= opened_at_ + options_.connect_timeout * kMillisecond) {
      fail({redis::ReplyClass::transient, "no connection within connect_timeout"}, now);
    }
    return;
  }
  if (!commands_.empty() && now >= last_progress_ + options_.command_timeout * kMillisecond) {
    fail({redis::ReplyClass::transient, "no answer within command_timeout"}, now);
    return;
  }
  send_more(now);
}

void Target::on_socket(bool readable, bool writable, TimestampTz now) {
  using State = redis::Connection::State;
  const bool was_ready = connection_->state() == State::ready;
  const bool alive = connection_->on_ready(readable, writable);
  if (!was_ready) {
    // While it connects it may have gone on to the next address of the host.
    socket_changed_ = true;
    if (alive && connection_->state() == State::ready) {
      ready_at_ = now;
      if (status_ != nullptr) pg_atomic_fetch_add_u64(&status_->connects, 1);
      set_state(journal::TargetState::up, "");
    }
  }
  if (!alive) {
    fail(connection_->failure(), now);
    return;
  }
  if (connection_->state() == State::ready && take_replies(now)) send_more(now);
}

TimestampTz Target::deadline() const {
  using State = redis::Connection::State;
  if (!options_.enabled || paused_) return DT_NOEND;
  if (connection_->state() == State::closed) return retry_at_;
  if (connection_->state() != State::ready) return opened_at_ + options_.connect_timeout * kMillisecond;
  if (!commands_.empty()) return last_progress_ + options_.command_timeout * kMillisecond;
  if (collected() > 0) return owed_since_ + settings::batch_window * kMillisecond;
  return DT_NOEND;
}

}  // namespace cache_invalidate::delivery
