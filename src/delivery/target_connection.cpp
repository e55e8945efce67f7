// The connection of a target: opened, watched, given up and tried again.
#include <algorithm>
#include <random>

#include "delivery/target.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"
#include "redis/cure.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kMillisecond = 1000;
constexpr TimestampTz kSecond = 1000 * kMillisecond;
constexpr TimestampTz kProbation = kSecond;  // after which a connection counts as one that works
// A server is asked so often whether it serves, and who it is, however busy the connection may be.
constexpr TimestampTz kHealthInterval = 30 * kSecond;

std::uint32_t random_number() {
  static std::mt19937* generator = new std::mt19937(std::random_device{}());
  return static_cast<std::uint32_t>((*generator)());
}

redis::Failure timed_out(const char* text, redis::Trouble trouble) {
  return {redis::ReplyClass::transient, text, redis::cure_for(trouble)};
}

}  // namespace

void Target::connect(TimestampTz now) {
  socket_changed_ = true;
  commands_.clear();
  opened_at_ = last_progress_ = now;
  CACHE_INVALIDATE_CRASH_POINT("target.connect", fails);
  if (!connection_->open()) fail(connection_->failure(), now);
}

void Target::give_up_connection() {
  connection_->close();
  socket_changed_ = true;
  ready_at_ = 0;
  put_back();
}

void Target::fail(const redis::Failure& failure, TimestampTz now) {
  const bool was_ready = ready_at_ != 0;
  // After a connection that stayed for a while the next attempt is a first one. After one that only ever opens it is
  // not, or we would knock in a loop.
  if (was_ready && has_proved(now) && !is_doubted_) backoff_.reset();
  if (was_ready && !has_proved(now)) is_doubted_ = true;
  CACHE_INVALIDATE_CRASH_POINT("target.lost", fails);
  give_up_connection();
  using Class = redis::ReplyClass;
  CACHE_INVALIDATE_CRASH_POINT("target.put_back", fails);
  // Where nothing sensible was ever said, no Redis is.
  const bool hopeless = failure.reply_class == Class::configuration || failure.reply_class == Class::poison ||
                        (failure.reply_class == Class::protocol && !was_ready);
  if (hopeless) backoff_.slow_down();
  retry_at_ = now + backoff_.next(random_number()) * kMillisecond;
  if (status_ != nullptr) pg_atomic_fetch_add_u64(&status_->failures, 1);
  set_state(journal::TargetState::down, failure.text, failure.cure);
}

void Target::pause(bool paused) {
  if (paused == paused_) return;
  paused_ = paused;
  if (!options_.enabled) return;
  if (paused) {
    give_up_connection();
    retry_now();
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
      fail(timed_out("no connection within connect_timeout", redis::Trouble::no_connection), now);
    }
    return;
  }
  if (!commands_.empty() && now >= last_progress_ + options_.command_timeout * kMillisecond) {
    fail(timed_out("no answer within command_timeout", redis::Trouble::no_answer), now);
    is_doubted_ = true;
    return;
  }
  if (now >= health_due_) ask_health(now);
  if (state_ != journal::TargetState::up && owed() == 0 && has_proved(now)) note_of_use();
  send_more(now);
}

void Target::on_socket(bool readable, bool writable, TimestampTz now) {
  using State = redis::Connection::State;
  const bool was_ready = connection_->state() == State::ready;
  const bool alive = connection_->on_ready(readable, writable);
  if (!was_ready) {
    // While it connects it may have gone on to the next address of the host.
    socket_changed_ = true;
    if (alive && connection_->state() == State::ready) note_ready(now);
  }
  if (!alive) {
    fail(connection_->failure(), now);
    return;
  }
  if (connection_->state() == State::ready && take_replies(now)) send_more(now);
}

void Target::note_ready(TimestampTz now) {
  CACHE_INVALIDATE_CRASH_POINT("target.ready", fails);
  ready_at_ = now;
  health_due_ = now + kHealthInterval;
  if (status_ != nullptr) pg_atomic_fetch_add_u64(&status_->connects, 1);
  note_identity(watch_.connected(connection_->identity(), now));
  // One that refuses what it is sent, or hangs up soon, would be up and down in turns.
  if (!is_doubted_) set_state(journal::TargetState::up, "");
}

bool Target::has_proved(TimestampTz now) const { return now >= ready_at_ + kProbation; }

// It works.
void Target::note_of_use() {
  backoff_.reset();
  is_doubted_ = false;
  if (state_ != journal::TargetState::up) set_state(journal::TargetState::up, "");
}

void Target::note_identity(bool is_another) {
  if (!is_another) return;
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\" was restarted or replaced: what was deleted may be there again",
                       definition_.name.c_str()),
                errdetail("It is now \"%s\".", watch_.identity().c_str())));
}

void Target::ask_health(TimestampTz now) {
  health_due_ = now + kHealthInterval;
  if (commands_.empty()) last_progress_ = now;
  connection_->append_health_check();
  using Kind = Command::Kind;
  for (const Kind kind : {Kind::ping, Kind::info_server, Kind::info_replication}) commands_.push_back({kind});
}

// False: the connection was given up.
bool Target::take_health(const redis::Reply& reply, TimestampTz now) {
  const Command command = commands_.front();
  const bool is_error = reply.kind == redis::Reply::Kind::error;
  if (is_error && !redis::may_be_ignored(reply.text)) {
    fail_command(command, reply, now);
    return false;
  }
  const bool is_ping = command.kind == Command::Kind::ping;
  if (!is_error && reply.kind != (is_ping ? redis::Reply::Kind::status : redis::Reply::Kind::bulk)) {
    fail({redis::ReplyClass::protocol, "a command was answered with something else"}, now);
    return false;
  }
  commands_.pop_front();
  const std::string told = is_error ? std::string() : reply.text;
  if (command.kind == Command::Kind::info_server) info_server_ = told;
  if (command.kind == Command::Kind::info_replication) {
    note_identity(watch_.checked(redis::identity_of(info_server_, told), now));
  }
  return true;
}

TimestampTz Target::deadline() const {
  using State = redis::Connection::State;
  if (!options_.enabled || paused_) return DT_NOEND;
  if (connection_->state() == State::closed) return retry_at_;
  if (connection_->state() != State::ready) return opened_at_ + options_.connect_timeout * kMillisecond;
  TimestampTz later = std::min({health_due_, second_keys_.due(), second_patterns_.due()});
  if (state_ != journal::TargetState::up && owed() == 0) later = std::min(later, ready_at_ + kProbation);
  if (!commands_.empty()) return std::min(later, last_progress_ + options_.command_timeout * kMillisecond);
  if (sweep_after_ != 0) later = std::min(later, sweep_after_);
  const bool waits = sweep_after_ != 0 && backlog_.keys().collecting() == 0;
  if (collected() > 0 && !waits) return std::min(later, owed_since_ + settings::batch_window * kMillisecond);
  return later;
}

}  // namespace cache_invalidate::delivery
