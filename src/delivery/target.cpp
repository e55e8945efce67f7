#include "delivery/target.hpp"

#include <algorithm>
#include <random>

#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr std::uint32_t kKeysPerCommand = 128;  // a long command holds a single-threaded server up
constexpr std::size_t kUnsentLimit = 256 * 1024;
constexpr TimestampTz kMillisecond = 1000;
constexpr TimestampTz kSecond = 1000 * kMillisecond;

std::uint32_t random_number() {
  static std::mt19937* generator = new std::mt19937(std::random_device{}());
  return static_cast<std::uint32_t>((*generator)());
}

}  // namespace

Target::Target(const TargetDefinition& definition, journal::TargetStatus* status) : status_(status) {
  redefine(definition);
}

void Target::redefine(const TargetDefinition& definition) {
  const bool only_renamed = connection_ != nullptr && definition.server_options == definition_.server_options &&
                            definition.mapping_options == definition_.mapping_options;
  definition_ = definition;
  if (only_renamed) return;
  keys_.put_back();
  sweep_.put_back();
  commands_.clear();
  backoff_.reset();
  retry_at_ = 0;
  counted_bytes_ = 0;
  socket_changed_ = true;
  use_del_ = false;
  connection_.reset();
  core::Result<TargetOptions> options = parse_server_options(definition.server_options);
  core::Result<Credentials> credentials = parse_mapping_options(definition.mapping_options);
  options_ = options.ok() ? options.take() : TargetOptions();
  if (!options.ok() || !credentials.ok()) {
    // Written by hand into the catalogs, or by an older version.
    options_.enabled = false;
    set_state(journal::TargetState::disabled, options.ok() ? credentials.error().message : options.error().message);
    return;
  }
  redis::ConnectionOptions connection;
  connection.endpoint = options_.endpoint;
  connection.username = credentials.value().username;
  connection.password = credentials.value().password;
  connection_ = std::make_unique<redis::Connection>(std::move(connection));
  set_state(options_.enabled ? journal::TargetState::connecting : journal::TargetState::disabled,
            options_.enabled ? "" : "option \"enabled\" is false");
}

void Target::set_state(journal::TargetState state, const std::string& problem) {
  const bool was_down = state_ == journal::TargetState::down;
  const bool same = state == state_ && problem == problem_;
  state_ = state;
  problem_ = problem;
  if (status_ != nullptr) {
    if (status_->state != state || status_->changed == 0) status_->changed = GetCurrentTimestamp();
    status_->state = state;
    strlcpy(status_->problem, problem.c_str(), sizeof status_->problem);
  }
  // One line a change of state, not one an attempt.
  if (same) return;
  if (state == journal::TargetState::down) {
    ereport(LOG, (errmsg("cache_invalidate: server \"%s\" is down: %s", definition_.name.c_str(), pg::from_utf8_anyhow(problem.c_str()))));
  } else if (state == journal::TargetState::up && was_down) {
    ereport(LOG, (errmsg("cache_invalidate: server \"%s\" is up again", definition_.name.c_str())));
  }
}

void Target::owe_key(std::string_view key, std::uint64_t position, TimestampTz now) {
  if (owed() == 0) owed_since_ = now;
  keys_.add(key, position);
}

void Target::owe_pattern(std::string_view glob, std::uint64_t position, TimestampTz now) {
  if (owed() == 0) owed_since_ = now;
  sweep_.patterns().add(glob, position);
}

void Target::note_position(std::uint64_t position) {
  keys_.note_position(position);
  sweep_.patterns().note_position(position);
}

std::size_t Target::owed() const {
  const core::PendingKeys& patterns = sweep_.patterns();
  return keys_.collecting() + keys_.in_flight() + patterns.collecting() + patterns.in_flight();
}

void Target::detach() {
  if (!detached_) {
    ereport(LOG, (errmsg("cache_invalidate: server \"%s\" is owed more than max_backlog_keys: the rest stays in the journal",
                         definition_.name.c_str())));
  }
  fall_behind();
}

void Target::fall_behind() {
  detached_ = true;
  is_reading = false;
  keys_.forget_collected();
  sweep_.patterns().forget_collected();
}

void Target::start_behind(const core::XidSnapshot& snapshot) {
  delivered = taken = snapshot;
  fall_behind();
  scan_at_once_ = true;
}

bool Target::is_waited_for(TimestampTz now) const {
  if (!options_.enabled || state_ == journal::TargetState::down || detached_) return false;
  return now < waited_until();
}

TimestampTz Target::waited_until() const { return owed_since_ + settings::signal_timeout * kMillisecond; }

void Target::connect(TimestampTz now) {
  socket_changed_ = true;
  commands_.clear();
  opened_at_ = last_progress_ = now;
  if (!connection_->open()) fail(connection_->failure(), now);
}

void Target::fail(const redis::Failure& failure, TimestampTz now) {
  connection_->close();
  socket_changed_ = true;
  // A connection that was of use, or stayed for a while: the next attempt is a first one. One that only ever
  // opens is not, or we would knock in a loop.
  if (ready_at_ != 0 && now >= ready_at_ + kSecond) backoff_.reset();
  ready_at_ = 0;
  commands_.clear();
  keys_.put_back();
  sweep_.put_back();
  next_key_ = acknowledged_keys_ = 0;
  if (failure.reply_class == redis::ReplyClass::configuration || failure.reply_class == redis::ReplyClass::poison) {
    backoff_.slow_down();
  }
  retry_at_ = now + backoff_.next(random_number()) * kMillisecond;
  if (status_ != nullptr) pg_atomic_fetch_add_u64(&status_->failures, 1);
  set_state(journal::TargetState::down, failure.text);
}

void Target::advance(TimestampTz now) {
  if (!options_.enabled) return;
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

void Target::send_more(TimestampTz now) {
  const bool full = collected() >= static_cast<std::size_t>(settings::batch_size);
  const bool due = full || now >= owed_since_ + settings::batch_window * kMillisecond;
  if (commands_.empty()) last_progress_ = now;
  if (keys_.in_flight() == 0 && keys_.collecting() > 0 && due) {
    keys_.depart();
    next_key_ = acknowledged_keys_ = 0;
  }
  send_keys();
  if (due || sweep_.patterns().in_flight() > 0) {
    for (std::uint32_t i = sweep_.send(*connection_, options_.key_prefix); i > 0; --i) {
      commands_.push_back({Command::Kind::scan, 0, 0});
    }
  }
  if (!connection_->flush()) fail(connection_->failure(), now);
}

void Target::send_keys() {
  const auto end = static_cast<std::uint32_t>(
      std::min<std::size_t>(keys_.in_flight(), acknowledged_keys_ + static_cast<std::size_t>(settings::batch_size)));
  while (next_key_ < end && connection_->unsent_bytes() < kUnsentLimit) {
    std::string_view batch[kKeysPerCommand];
    const std::uint32_t count = std::min(kKeysPerCommand, end - next_key_);
    for (std::uint32_t i = 0; i < count; ++i) batch[i] = keys_.key(next_key_ + i);
    connection_->append_unlink(batch, count, options_.key_prefix, "", use_del_);
    commands_.push_back({Command::Kind::unlink, count, next_key_});
    next_key_ += count;
  }
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

// False: the connection was given up.
bool Target::take_replies(TimestampTz now) {
  while (std::optional<redis::Reply> reply = connection_->next_reply()) {
    last_progress_ = contact_ = now;
    if (!take_reply(*reply, now)) return false;
  }
  return true;
}

bool Target::take_reply(const redis::Reply& reply, TimestampTz now) {
  const Command command = commands_.front();
  const std::size_t owed_before = owed();
  const bool is_error = reply.kind == redis::Reply::Kind::error;
  if (is_error && !refuse(reply, now)) return false;
  if (is_error && command.keys > 1) return true;  // its keys go again, one by one
  bool understood = is_error || reply.kind == redis::Reply::Kind::integer;
  std::uint32_t deletes = 0;
  if (command.kind == Command::Kind::scan) deletes = sweep_.take(reply, *connection_, use_del_, understood);
  if (!understood) {
    fail({redis::ReplyClass::protocol, "a command was answered with something else"}, now);
    return false;
  }
  commands_.pop_front();
  backoff_.reset();
  for (; deletes > 0; --deletes) commands_.push_back({Command::Kind::swept, 0, 0});
  if (command.kind == Command::Kind::swept) sweep_.note_deleted();
  if (command.kind == Command::Kind::unlink) {
    acknowledged_keys_ += command.keys;
    if (acknowledged_keys_ == keys_.in_flight()) keys_.arrived();
  }
  // Of what was collected meanwhile, at the latest.
  if (owed() < owed_before) owed_since_ = now;
  if (status_ != nullptr) {
    const bool swept = command.kind == Command::Kind::swept;
    if (!is_error) pg_atomic_fetch_add_u64(&status_->keys, swept ? static_cast<std::uint64_t>(reply.integer) : command.keys);
    pg_atomic_fetch_add_u64(&status_->commands, 1);
    if (owed() < owed_before) status_->acknowledged = now;
  }
  return true;
}

// True: the connection goes on.
bool Target::refuse(const redis::Reply& reply, TimestampTz now) {
  const Command command = commands_.front();
  const bool scan = command.kind == Command::Kind::scan;
  const redis::ReplyClass reply_class = redis::classify_error(reply.text);
  const std::string code = redis::first_word(reply.text);
  if (reply_class == redis::ReplyClass::poison && command.kind == Command::Kind::unlink) return single_out(command, code);
  const bool unknown = !scan && !use_del_ && reply.text.compare(0, 19, "ERR unknown command") == 0;
  // Before 4.0 there is no UNLINK; the first retry is immediate.
  if (unknown) use_del_ = true;
  fail({unknown ? redis::ReplyClass::transient : reply_class,
        (scan ? "SCAN was answered with " : "UNLINK was answered with ") + code},
       now);
  return false;
}

// One key that the server will never take makes it refuse the whole command: each goes alone then, and that one is
// given up, so that it does not hold up the others.
bool Target::single_out(const Command& command, const std::string& code) {
  if (command.keys > 1) {
    commands_.pop_front();
    for (std::uint32_t i = 0; i < command.keys; ++i) {
      const std::string_view key = keys_.key(command.first + i);
      connection_->append_unlink(&key, 1, options_.key_prefix, "", use_del_);
      commands_.push_back({Command::Kind::unlink, 1, command.first + i});
    }
    return true;
  }
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\" refuses a key with %s: it is given up", definition_.name.c_str(), pg::from_utf8_anyhow(code.c_str()))));
  if (status_ != nullptr) {
    strlcpy(status_->problem, ("a key was refused with " + code + ": grant the user the keys of the triggers").c_str(),
            sizeof status_->problem);
  }
  return true;
}

TimestampTz Target::deadline() const {
  using State = redis::Connection::State;
  if (!options_.enabled) return DT_NOEND;
  if (connection_->state() == State::closed) return retry_at_;
  if (connection_->state() != State::ready) return opened_at_ + options_.connect_timeout * kMillisecond;
  if (!commands_.empty()) return last_progress_ + options_.command_timeout * kMillisecond;
  if (collected() > 0) return owed_since_ + settings::batch_window * kMillisecond;
  return DT_NOEND;
}

void Target::publish_status() {
  if (status_ == nullptr) return;
  pg_atomic_write_u64(&status_->pending, owed());
  status_->reads_journal = detached_;
  if (connection_ == nullptr) return;
  pg_atomic_fetch_add_u64(&status_->bytes, connection_->bytes_sent() - counted_bytes_);
  counted_bytes_ = connection_->bytes_sent();
}

}  // namespace cache_invalidate::delivery
