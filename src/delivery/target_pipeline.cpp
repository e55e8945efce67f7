// The commands of a target on their way, and what the answers mean for what is owed.
#include <algorithm>

#include "delivery/target.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr std::uint32_t kKeysPerCommand = 128;  // a long command holds a single-threaded server up
constexpr std::size_t kUnsentLimit = 256 * 1024;
constexpr TimestampTz kMillisecond = 1000;

}  // namespace

void Target::send_more(TimestampTz now) {
  const bool full = collected() >= static_cast<std::size_t>(settings::batch_size);
  const bool due = full || now >= owed_since_ + settings::batch_window * kMillisecond;
  core::PendingKeys& keys = backlog_.keys();
  if (commands_.empty()) last_progress_ = now;
  if (keys.in_flight() == 0 && keys.collecting() > 0 && due) {
    keys.depart();
    next_key_ = acknowledged_keys_ = 0;
  }
  send_keys();
  if (due || sweep_.is_running()) {
    const Sweep::Sent sent = sweep_.send(*connection_, prefixes());
    if (sent.size) commands_.push_back({Command::Kind::size, 0, 0});
    if (sent.scan) commands_.push_back({Command::Kind::scan, 0, 0});
  }
  if (!connection_->flush()) fail(connection_->failure(), now);
}

void Target::send_keys() {
  const auto end = static_cast<std::uint32_t>(
      std::min<std::size_t>(backlog_.keys().in_flight(), acknowledged_keys_ + static_cast<std::size_t>(settings::batch_size)));
  while (next_key_ < end && connection_->unsent_bytes() < kUnsentLimit) {
    std::string_view batch[kKeysPerCommand];
    const std::uint32_t count = std::min(kKeysPerCommand, end - next_key_);
    for (std::uint32_t i = 0; i < count; ++i) batch[i] = backlog_.keys().key(next_key_ + i);
    connection_->append_unlink(batch, count, options_.key_prefix, "", use_del_);
    commands_.push_back({Command::Kind::unlink, count, next_key_});
    next_key_ += count;
  }
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
  std::vector<std::uint32_t> deletes;
  if (command.kind == Command::Kind::scan) understood = sweep_.take(reply, *connection_, prefixes(), use_del_, deletes);
  if (command.kind == Command::Kind::size) sweep_.take_size(reply);
  if (!understood) {
    fail({redis::ReplyClass::protocol, "a command was answered with something else"}, now);
    return false;
  }
  commands_.pop_front();
  backoff_.reset();
  for (const std::uint32_t keys : deletes) commands_.push_back({Command::Kind::swept, keys, 0});
  if (command.kind == Command::Kind::swept) sweep_.note_deleted();
  if (command.kind == Command::Kind::unlink) {
    acknowledged_keys_ += command.keys;
    if (acknowledged_keys_ == backlog_.keys().in_flight()) backlog_.keys().arrived();
  }
  // Of what was collected meanwhile, at the latest.
  if (owed() < owed_before) owed_since_ = now;
  if (status_ != nullptr) {
    const bool swept = command.kind == Command::Kind::swept && reply.kind == redis::Reply::Kind::integer;
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
  if (command.kind == Command::Kind::size) return true;  // it is for show only
  const redis::ReplyClass reply_class = redis::classify_error(reply.text);
  const std::string code = redis::first_word(reply.text);
  if (reply_class == redis::ReplyClass::poison && !scan) return single_out(command, code);
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
  const bool swept = command.kind == Command::Kind::swept;
  if (command.keys > 1) {
    commands_.pop_front();
    if (swept) {
      sweep_.single_out(*connection_, prefixes(), use_del_);
      commands_.insert(commands_.end(), command.keys, {Command::Kind::swept, 1, 0});
      return true;
    }
    for (std::uint32_t i = 0; i < command.keys; ++i) {
      const std::string_view key = backlog_.keys().key(command.first + i);
      connection_->append_unlink(&key, 1, options_.key_prefix, "", use_del_);
      commands_.push_back({Command::Kind::unlink, 1, command.first + i});
    }
    return true;
  }
  if (swept && told_refusal_) return true;
  told_refusal_ = swept;
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\" refuses a key with %s: it is given up", definition_.name.c_str(), pg::from_utf8_anyhow(code.c_str()))));
  if (status_ != nullptr) {
    strlcpy(status_->problem, ("a key was refused with " + code + ": grant the user the keys of the triggers").c_str(),
            sizeof status_->problem);
  }
  return true;
}

}  // namespace cache_invalidate::delivery
