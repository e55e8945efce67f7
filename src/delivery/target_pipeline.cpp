// The commands of a target on their way, and what the answers mean for what is owed.
#include <algorithm>

#include "delivery/target.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"
#include "redis/cure.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr std::uint32_t kKeysPerCommand = 128;  // leases count; a long command holds a single-threaded server up
constexpr std::size_t kUnsentLimit = 256 * 1024;
constexpr std::size_t kMostSecondPatterns = 1000;  // more are one for all keys
constexpr TimestampTz kMillisecond = 1000;
constexpr TimestampTz kSweepPause = 30000 * kMillisecond;

}  // namespace

void Target::send_more(TimestampTz now) {
  const bool full = collected() >= static_cast<std::size_t>(settings::batch_size);
  const bool due = full || now >= owed_since_ + settings::batch_window * kMillisecond;
  if (commands_.empty()) last_progress_ = now;
  if (keys_in_flight(false) == 0 && backlog_.keys().collecting() > 0 && due) {
    backlog_.keys().depart();
    flight_ = Flight();
  }
  send_keys(false);
  if (now >= sweep_after_) sweep_after_ = 0;
  if ((due || sweep_.is_running()) && sweep_after_ == 0) send_sweep(false);
  send_second_deletes(now);
  CACHE_INVALIDATE_CRASH_POINT_IF(flight_.next > flight_.acknowledged, "target.send", fails);
  if (!connection_->flush()) fail(connection_->failure(), now);
  CACHE_INVALIDATE_CRASH_POINT_IF(flight_.next > flight_.acknowledged, "target.sent", fails);
}

void Target::send_keys(bool second) {
  Flight& flight = second ? second_flight_ : flight_;
  const std::uint32_t per_command = options_.lease_prefix.empty() ? kKeysPerCommand : kKeysPerCommand / 2;
  const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(
      keys_in_flight(second), flight.acknowledged + static_cast<std::size_t>(settings::batch_size)));
  while (flight.next < end && connection_->unsent_bytes() < kUnsentLimit) {
    const std::uint32_t count = std::min(per_command, end - flight.next);
    append_keys(second, flight.next, count);
    flight.next += count;
  }
}

void Target::append_keys(bool second, std::uint32_t first, std::uint32_t count) {
  const Command command = {Command::Kind::unlink, count, first, second, use_del_};
  std::string_view batch[kKeysPerCommand];
  for (std::uint32_t i = 0; i < count; ++i) batch[i] = key(command, i);
  connection_->append_unlink(batch, count, options_.key_prefix, options_.lease_prefix, use_del_);
  commands_.push_back(command);
}

void Target::send_sweep(bool second) {
  const bool was_running = sweep_.is_running();
  const Sweep::Sent sent = (second ? second_sweep_ : sweep_).send(*connection_, prefixes());
  if (sent.size) commands_.push_back({Command::Kind::size, 0, 0, second});
  if (sent.scan) commands_.push_back({Command::Kind::scan, 0, 0, second});
  CACHE_INVALIDATE_CRASH_POINT_IF(sent.scan, "target.sweep", fails);
  if (second || was_running || !sweep_.is_running() || options_.second_delete_after == 0) return;
  settled_before_sweep_ = backlog_.patterns().acknowledged();
  swept_.clear();
  backlog_.patterns().for_each_in_flight([this](const std::string& glob, std::uint32_t) { swept_.push_back(glob); });
}

void Target::send_second_deletes(TimestampTz now) {
  if (second_keys_.in_flight() == 0) {
    second_keys_.depart(now);
    second_flight_ = Flight();
  }
  send_keys(true);
  if (second_patterns_.in_flight() == 0) {
    second_patterns_.depart(now);
    CACHE_INVALIDATE_CRASH_POINT("target.second_sweep", fails);
    for (std::uint32_t i = 0; i < second_patterns_.in_flight(); ++i) {
      repeated_patterns_.add(std::string(second_patterns_.key(i)), 0, 1);
    }
  }
  if (second_patterns_.in_flight() > 0 && sweep_after_ == 0) send_sweep(true);
}

// The set in flight was acknowledged: it goes again later. Where more keys wait for that than may be, their families do.
void Target::repeat_keys(TimestampTz now) {
  if (options_.second_delete_after == 0) return;
  const TimestampTz due = now + options_.second_delete_after * kMillisecond;
  const TimestampTz slack = options_.second_delete_after * kMillisecond / 16;
  const core::PendingKeys& keys = backlog_.keys();
  const auto most = static_cast<std::size_t>(settings::max_backlog_keys);
  if (second_keys_.size() + keys.in_flight() <= most) {
    second_keys_.begin(keys.acknowledged(), due, slack);
    for (std::uint32_t i = 0; i < keys.in_flight(); ++i) second_keys_.add(keys.key(i));
    second_keys_.end(most);
    return;
  }
  second_patterns_.begin(keys.acknowledged(), due, slack);
  backlog_.for_each_family_in_flight([this](std::string_view glob) { add_second_pattern(glob); });
  second_patterns_.end(kMostSecondPatterns);
}

void Target::repeat_patterns(TimestampTz now) {
  if (swept_.empty() || options_.second_delete_after == 0) return;
  const TimestampTz delay = options_.second_delete_after * kMillisecond;
  second_patterns_.begin(settled_before_sweep_, now + delay, delay / 16);
  for (const std::string& glob : swept_) add_second_pattern(glob);
  second_patterns_.end(kMostSecondPatterns);
  swept_.clear();
}

void Target::add_second_pattern(std::string_view glob) {
  second_patterns_.add(second_patterns_.size() < kMostSecondPatterns ? glob : "*");
}

// False: the connection was given up.
bool Target::take_replies(TimestampTz now) {
  while (std::optional<redis::Reply> reply = connection_->next_reply()) {
    last_progress_ = now;
    if (!take_reply(*reply, now)) return false;
    watch_.answered(now);
  }
  return true;
}

bool Target::take_reply(const redis::Reply& reply, TimestampTz now) {
  const Command command = commands_.front();
  using Kind = Command::Kind;
  if (command.kind == Kind::ping || command.kind == Kind::info_server || command.kind == Kind::info_replication) {
    return take_health(reply, now);
  }
  if (command.kind == Kind::publish) return take_published(reply, now);
  CACHE_INVALIDATE_CRASH_POINT("target.reply", fails);
  const std::size_t owed_before = owed();
  const std::uint64_t acknowledged_before = acknowledged();
  const bool is_error = reply.kind == redis::Reply::Kind::error;
  if (is_error) {
    const Refusal refusal = refuse(reply, now);
    if (refusal != Refusal::given_up) return refusal == Refusal::sent_again;
  }
  CACHE_INVALIDATE_CRASH_POINT("target.acknowledge", fails);
  if (!take_answer(command, reply, now)) {
    fail({redis::ReplyClass::protocol, "a command was answered with something else"}, now);
    return false;
  }
  CACHE_INVALIDATE_CRASH_POINT("target.acknowledged", fails);
  // A replica answers much, but deletes nothing; and what hangs up within a set gets that set for ever.
  const bool deletes = command.kind == Kind::unlink || command.kind == Kind::swept;
  if ((deletes && has_proved(now)) || owed() < owed_before) note_of_use();
  // Of what was collected meanwhile, at the latest.
  if (owed() < owed_before) owed_since_ = now;
  if (acknowledged() > acknowledged_before) stalled_since_ = now;
  if (status_ != nullptr) {
    const bool swept = command.kind == Kind::swept && reply.kind == redis::Reply::Kind::integer;
    const std::uint64_t keys = swept ? static_cast<std::uint64_t>(reply.integer) : command.second ? 0 : command.keys;
    if (!is_error) pg_atomic_fetch_add_u64(&status_->keys, keys);
    pg_atomic_fetch_add_u64(&status_->commands, 1);
    if (owed() < owed_before) status_->acknowledged = now;
  }
  return true;
}

// The oldest command is done, maybe given up. False: this is no answer to it.
bool Target::take_answer(const Command& command, const redis::Reply& reply, TimestampTz now) {
  using Kind = Command::Kind;
  Sweep& sweep = sweep_of(command);
  std::vector<std::uint32_t> deletes;
  if (command.kind == Kind::scan) {
    if (!sweep.take(reply, *connection_, prefixes(), use_del_, deletes)) return false;
    refuses_scan_ = false;
  } else if (reply.kind != redis::Reply::Kind::error && reply.kind != redis::Reply::Kind::integer) {
    return false;
  }
  if (command.kind == Kind::size) sweep.take_size(reply);
  commands_.pop_front();
  for (const std::uint32_t keys : deletes) commands_.push_back({Kind::swept, keys, 0, command.second, use_del_});
  if (command.kind == Kind::swept) sweep.note_deleted();
  note_acknowledged(command, now);
  return true;
}

void Target::note_acknowledged(const Command& command, TimestampTz now) {
  using Kind = Command::Kind;
  if (command.kind == Kind::unlink) {
    Flight& flight = command.second ? second_flight_ : flight_;
    flight.acknowledged += command.keys;
    if (flight.acknowledged != keys_in_flight(command.second)) return;
    if (command.second) {
      second_keys_.arrived();
    } else {
      repeat_keys(now);
      backlog_.keys().arrived();
    }
  } else if (command.second) {
    const bool done = repeated_patterns_.collecting() == 0 && repeated_patterns_.in_flight() == 0;
    if (done && second_patterns_.in_flight() > 0) second_patterns_.arrived();
  } else if (!sweep_.is_running()) {
    repeat_patterns(now);
  }
}

Target::Refusal Target::refuse(const redis::Reply& reply, TimestampTz now) {
  const Command command = commands_.front();
  if (command.kind == Command::Kind::size) return Refusal::given_up;  // it is for show only
  const bool deletes = command.kind != Command::Kind::scan;
  if (deletes && !command.used_del && reply.text.compare(0, 19, "ERR unknown command") == 0) {
    use_del_ = true;  // before 4.0 there is no UNLINK
    send_again(command, command.keys);
    return Refusal::sent_again;
  }
  if (!deletes && redis::classify_error(reply.text) == redis::ReplyClass::configuration && !sweep_of(command).has_deletes()) {
    put_off_sweep(command, reply, now);
    return Refusal::sent_again;
  }
  if (!deletes || redis::classify_error(reply.text) != redis::ReplyClass::poison) {
    fail_command(command, reply, now);
    return Refusal::fatal;
  }
  // One key that the server will never take makes it refuse the whole command: each goes alone then, with its lease,
  // and that one is given up, so that it does not hold up the others.
  if (command.keys > 1) {
    send_again(command, 1);
    return Refusal::sent_again;
  }
  // A key and its lease are in two slots: a node of a cluster, which is no server for us.
  if (redis::first_word(reply.text) == "CROSSSLOT") {
    fail_command(command, reply, now);
    return Refusal::fatal;
  }
  note_trouble("a key was refused with " + redis::first_word(reply.text) + " and is given up", redis::cure_for_reply(reply.text));
  return Refusal::given_up;
}

// A user who may not SCAN may still delete: patterns wait, keys go on.
void Target::put_off_sweep(const Command& command, const redis::Reply& reply, TimestampTz now) {
  commands_.pop_front();
  sweep_of(command).put_back();
  sweep_after_ = now + kSweepPause;
  refuses_scan_ = true;
  note_trouble("SCAN was answered with " + redis::first_word(reply.text) + ": patterns wait", redis::cure_for_reply(reply.text));
}

// The keys of the oldest command, in commands of so many.
void Target::send_again(const Command& command, std::uint32_t keys_per_command) {
  commands_.pop_front();
  if (command.kind == Command::Kind::swept) {
    sweep_of(command).single_out(*connection_, prefixes(), use_del_);
    commands_.insert(commands_.end(), command.keys, {Command::Kind::swept, 1, 0, command.second, use_del_});
    return;
  }
  for (std::uint32_t i = 0; i < command.keys; i += keys_per_command) {
    append_keys(command.second, command.first + i, std::min(keys_per_command, command.keys - i));
  }
}

// The answer says that the server does not serve.
void Target::fail_command(const Command& command, const redis::Reply& reply, TimestampTz now) {
  using Kind = Command::Kind;
  const char* name = command.used_del ? "DEL" : "UNLINK";
  if (command.kind == Kind::scan) name = "SCAN";
  if (command.kind == Kind::publish) name = "PUBLISH";
  if (command.kind == Kind::ping) name = "PING";
  if (command.kind == Kind::info_server || command.kind == Kind::info_replication) name = "INFO";
  const char* const cure = redis::cure_for_reply(reply.text);
  fail({redis::classify_error(reply.text), name + (" was answered with " + redis::first_word(reply.text)), cure == nullptr ? "" : cure},
       now);
  is_doubted_ = true;
}

}  // namespace cache_invalidate::delivery
