// Messages that a target publishes over its connection, between its deletes.
#include "delivery/target.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"
#include "redis/cure.hpp"

namespace cache_invalidate::delivery {
namespace {
constexpr std::size_t kMostPublishes = 10000;  // not answered yet
constexpr std::size_t kMostPublishBytes = 16 * 1024 * 1024;
}  // namespace

bool Target::publish(const core::Message& message, std::string_view payload, std::uint64_t position) {
  const bool can = publishes() && state_ == journal::TargetState::up && connection_->state() == redis::Connection::State::ready;
  if (!can || open_publishes_.size() >= kMostPublishes || publish_bytes_ >= kMostPublishBytes) {
    lost_messages_ = true;
    return false;
  }
  const char* const standard = pg::to_utf8_anyhow(settings::notify_channel);
  const std::string channel = options_.publish_channel.expand(options_.key_prefix, message, standard);
  const std::string_view command[] = {"PUBLISH", channel, payload};
  if (commands_.empty()) last_progress_ = GetCurrentTimestamp();
  CACHE_INVALIDATE_CRASH_POINT("target.publish", fails);
  connection_->append_command(command, std::size(command));
  commands_.push_back({Command::Kind::publish});
  open_publishes_.push(position);
  publish_sizes_.push_back(channel.size() + payload.size());
  publish_bytes_ += publish_sizes_.back();
  return true;
}

bool Target::is_clogged() const {
  return open_publishes_.size() >= kMostPublishes / 2 || publish_bytes_ >= kMostPublishBytes / 2;
}

// A channel that the user may not use, or a server without PUBLISH, must not stop deletes. False: the connection was
// given up.
bool Target::take_published(const redis::Reply& reply, TimestampTz now) {
  const bool is_error = reply.kind == redis::Reply::Kind::error;
  if (is_error && !redis::may_be_ignored(reply.text)) {
    fail_command(commands_.front(), reply, now);
    return false;
  }
  if (!is_error && reply.kind != redis::Reply::Kind::integer) {
    fail({redis::ReplyClass::protocol, "a command was answered with something else"}, now);
    return false;
  }
  if (is_error) {
    note_trouble("a message was refused with " + redis::first_word(reply.text) + " and is given up", redis::cure_for_reply(reply.text));
  } else if (status_ != nullptr) {
    pg_atomic_fetch_add_u64(&status_->published, 1);
  }
  commands_.pop_front();
  CACHE_INVALIDATE_CRASH_POINT("target.published", fails);
  open_publishes_.pop();
  publish_bytes_ -= publish_sizes_.front();
  publish_sizes_.pop_front();
  return true;
}

void Target::lose_publishes() {
  if (open_publishes_.size() > 0) lost_messages_ = true;
  open_publishes_.clear();
  publish_sizes_.clear();
  publish_bytes_ = 0;
}

}  // namespace cache_invalidate::delivery
