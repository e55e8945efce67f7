#include "subscription.hpp"

#include <algorithm>
#include <optional>

#include "message.hpp"
#include "schema.hpp"

namespace cache_invalidate::consistency {

namespace {

constexpr Nanoseconds kRetry = 20 * kMillisecond;
constexpr int kWaitMs = 50;

}  // namespace

Subscription::Subscription(Shared& shared, Channel channel) : shared_(shared), channel_(channel) {
  if (channel == Channel::publish) {
    cache_ = std::make_unique<Cache>(shared.options.redis);
  } else {
    database_ = std::make_unique<Database>([&shared] { return shared.database(); },
                                           [&shared] { return shared.is_over(); });
  }
}

bool Subscription::connect() {
  if (cache_) return cache_->connect() && cache_->command({"SUBSCRIBE", kChannel}).kind == Answer::Kind::list;
  generation_ = shared_.generation();
  if (!database_->connect()) return false;
  if (database_->run((std::string("LISTEN ") + kChannel).c_str()) == Database::State::done) return true;
  database_->close();  // a standby, which cannot
  return false;
}

Subscription::Event Subscription::next(int wait_ms) {
  if (is_listening_ && database_ && generation_ != shared_.generation()) {
    database_->close();
    is_listening_ = false;
  }
  if (!is_listening_) {
    gap_begin_ = last_seen_;
    if (!connect()) {
      shared_.pause(kRetry);
      return Event::none;
    }
    is_listening_ = true;
    last_seen_ = now();
    return Event::gap;
  }
  const Nanoseconds asked = now();
  const Event event = cache_ ? take_publication(wait_ms) : take_notification(wait_ms);
  if (is_listening_) last_seen_ = asked;
  return event;
}

Subscription::Event Subscription::take_notification(int wait_ms) {
  if (database_->next_notification(text_, wait_ms)) return Event::message;
  is_listening_ = database_->is_connected();
  return Event::none;
}

Subscription::Event Subscription::take_publication(int wait_ms) {
  const Answer answer = cache_->next(wait_ms);
  is_listening_ = cache_->is_connected();
  if (answer.kind != Answer::Kind::list || answer.list.size() != 3 || !answer.list[0].is_text("message"))
    return Event::none;
  text_ = answer.list[2].text;
  return Event::message;
}

namespace {

Record record_of(RecordType type, Channel channel, Nanoseconds begin, Nanoseconds end) {
  Record record;
  record.type = type;
  record.protocol = static_cast<std::uint8_t>(channel);
  record.begin = begin;
  record.end = end;
  return record;
}

}  // namespace

namespace {

constexpr std::int64_t kAskedOf = 8;  // messages, for one the cache is asked

// What the cache has for the row of a message, when everybody may have heard of the change.
void ask_cache(Cache& cache, const Message& message, Log& log) {
  if (!cache.is_connected() && !cache.connect()) return;
  Record record = record_of(RecordType::read, Channel::notify, now(), 0);
  const Answer answer = cache.command({"GET", name_of(Protocol::leased) + (":" + name_of_row(message.id))});
  const std::optional<CachedValue> value =
      answer.kind == Answer::Kind::text ? parse_value(answer.text) : std::nullopt;
  if (!value) return;
  record.flag = static_cast<std::uint8_t>(Source::signal);
  record.protocol = static_cast<std::uint8_t>(Protocol::leased);
  record.number = value->fill;
  record.id = message.id;
  record.version = value->version;
  record.middle = message.version;
  record.end = now();
  log.add(record);
}

Record record_of(const Message& message, Channel channel) {
  Record record = record_of(RecordType::message, channel, now(), 0);
  record.flag = static_cast<std::uint8_t>(message.said);
  record.kind = message.is_of_parted ? 1 : 0;
  record.id = message.id;
  record.version = message.version;
  return record;
}

}  // namespace

void note_messages(Shared& shared, Channel channel) {
  Log log(shared.options.log,
          (channel == Channel::notify ? "notify" : "publish") + std::to_string(shared.options.run));
  Subscription subscription(shared, channel);
  Cache cache(shared.options.redis);
  for (std::int64_t newest = 0; newest < shared.last_version && !shared.is_silent();) {
    const Subscription::Event event = subscription.next(kWaitMs);
    if (event == Subscription::Event::gap) {
      log.add(record_of(RecordType::gap, channel, subscription.gap_begin(), now()));
    } else if (event == Subscription::Event::message) {
      const Message message = parse_message(subscription.text());
      log.add(record_of(message, channel));
      newest = std::max(newest, message.version);
      if (message.said == Said::change && message.version % kAskedOf == 0) ask_cache(cache, message, log);
    }
  }
  log.add(record_of(RecordType::gap, channel, subscription.last_seen(), kNever));
  log.flush();
  --shared.listeners;
}

}  // namespace cache_invalidate::consistency
