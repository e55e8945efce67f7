#include "reader.hpp"

#include <algorithm>
#include <fstream>

#include "message.hpp"

namespace cache_invalidate::consistency {

namespace {

constexpr Nanoseconds kRetry = 20 * kMillisecond;
constexpr Nanoseconds kLocalLife = 5 * kSecond;
constexpr std::size_t kMaxLocal = 10000;
constexpr int kBehind = 6, kAhead = 4, kFarBehind = 5000;
constexpr int kFillShift = 40;

const char* const kSelect =
    "SELECT coalesce((SELECT version FROM item WHERE id = $1), (SELECT version FROM slot WHERE id = $1), 0)";
const char* const kSelectParted =
    "SELECT coalesce((SELECT version FROM parted WHERE id = $1), (SELECT version FROM slot WHERE id = $1), "
    "0)";

const char* const kScript =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3]) "
    "redis.call('UNLINK', KEYS[1]) "
    "return 1";
const char* const kLife = "3600";

std::string conninfo_of_replica(const std::string& file) {
  std::ifstream in(file);
  std::string conninfo;
  std::getline(in, conninfo);
  return conninfo;
}

}  // namespace

Reader::Reader(Shared& shared, Protocol protocol, int number, int place)
    : shared_(shared),
      protocol_(protocol),
      number_(number),
      log_(shared.options.log, std::string(name_of(protocol)) + std::to_string(number)),
      database_(
          [&shared, protocol] {
            return protocol == Protocol::replica ? conninfo_of_replica(shared.options.replica)
                                                 : shared.database();
          },
          [&shared] { return shared.is_over(); }),
      cache_(protocol == Protocol::second || protocol == Protocol::replica ? shared.options.second_redis
                                                                           : shared.options.redis) {
  if (protocol == Protocol::local) {
    subscription_.emplace(shared, place % 2 == 0 ? Channel::publish : Channel::notify);
  }
}

void Reader::run() {
  while (!shared_.is_over()) {
    Random random(shared_.options.seed, static_cast<std::uint64_t>(number_),
                  static_cast<std::uint64_t>(++operation_));
    const Choice choice = draw(random);
    if (!is_ready()) {
      shared_.pause(kRetry);
      continue;
    }
    std::optional<CachedValue> value;
    const Nanoseconds begin = now();
    if (!look(choice, value)) continue;
    if (value) {
      note_read(choice.id, *value, Source::hit, begin, now());
    } else {
      fill(choice);
    }
    shared_.pause(choice.rest);
  }
  log_.flush();
}

// The window's rows that were read lately are read again, so that what was stored is seen.
std::int64_t Reader::draw_id(Random& random) {
  const std::int64_t first = kWindowFirst + shared_.options.run * kWindowOfRun;
  const std::int64_t taken = shared_.position - 1;
  const std::int64_t what = random.below(100);
  std::int64_t& recent = recent_[static_cast<std::size_t>(random.below(kRecent))];
  if (what < 40 && recent != 0) return recent;
  if (what < 75) return recent = std::max(first, taken + random.between(-kBehind, kAhead));
  if (what < 83) return std::max(first, taken - random.below(kFarBehind));
  if (what < 88) return random.between(kHotFirst, kHotLast);
  if (what < 94) return random.between(kChurnFirst, kChurnLast);
  if (what < 97) return random.between(kPartedFirst, kPartedLast);
  return random.between(kBulkFirst, kBulkLast);
}

Reader::Choice Reader::draw(Random& random) {
  Choice choice;
  choice.id = draw_id(random);
  const std::int64_t pause = random.below(10000);
  choice.pause = pause < 5000   ? 0
                 : pause < 9899 ? random.below(2 * kMillisecond)
                 : pause < 9999 ? random.below(60 * kMillisecond)
                                : 5 * kSecond;
  choice.until_passed = random.chance(200);
  choice.by_script = random.chance(5000);
  choice.inside = random.chance(5000);
  if (random.chance(1000)) choice.lease_ms = 10;
  choice.rest = random.below(shared_.options.pause / 2 + 1);
  return choice;
}

bool Reader::is_ready() {
  if (generation_ != shared_.generation()) database_.close();
  generation_ = shared_.generation();
  if (!database_.is_connected() && !database_.connect()) return false;
  return protocol_ == Protocol::local || cache_.is_connected() || cache_.connect();
}

bool Reader::look(const Choice& choice, std::optional<CachedValue>& value) {
  if (protocol_ == Protocol::local) {
    drop_locally();
    if (!subscription_->is_listening()) return false;
    const auto found = local_.find(choice.id);
    if (found != local_.end() && found->second.expires > now()) value = found->second.value;
    return true;
  }
  const Answer answer = cache_.command({"GET", key_of(choice.id)});
  if (answer.kind == Answer::Kind::text) value = parse_value(answer.text);
  if (answer.kind == Answer::Kind::error) shared_.pause(kRetry);
  return answer.kind == Answer::Kind::text || answer.kind == Answer::Kind::nil;
}

void Reader::fill(const Choice& choice) {
  switch (protocol_) {
    case Protocol::plain:
    case Protocol::second:
      return fill_plainly(choice);
    case Protocol::leased:
    case Protocol::replica:
      return fill_under_lease(choice);
    case Protocol::local:
      return fill_locally(choice);
  }
}

// False: the database does not answer. Otherwise `fill` says what was read.
bool Reader::select(const Choice& choice, Record& fill) {
  fill.type = RecordType::fill;
  fill.id = choice.id;
  fill.begin = now();
  if (database_.run(is_parted(choice.id) ? kSelectParted : kSelect, {std::to_string(choice.id)}) !=
      Database::State::done)
    return false;
  fill.version = database_.number();
  fill.number = (static_cast<std::int64_t>(number_) << kFillShift) + ++last_fill_;
  note_read(choice.id, {fill.version, 0}, Source::miss, fill.begin, now());
  return true;
}

// A pause, or as long as the window has not passed the row: then what was read is old, as a rule.
void Reader::linger(const Choice& choice) {
  if (choice.pause > 0) shared_.pause(choice.pause);
  if (!choice.until_passed || choice.id < kWindowFirst) return;
  const Nanoseconds begin = now();
  while (shared_.position <= choice.id + shared_.options.writers + 1 && now() - begin < kSecond) {
    if (!shared_.pause(kMillisecond)) return;
  }
  shared_.pause(20 * kMillisecond);
}

void Reader::fill_plainly(const Choice& choice) {
  Record fill;
  if (!select(choice, fill)) return;
  linger(choice);
  fill.middle = now();
  const Answer answer =
      cache_.command({"SET", key_of(choice.id), text_of({fill.version, fill.number}), "EX", kLife});
  note_fill(fill, answer.is_text("OK")                 ? Outcome::done
                  : answer.kind == Answer::Kind::error ? Outcome::refused
                                                       : Outcome::unknown);
}

// As docs/leases.md has it.
void Reader::fill_under_lease(const Choice& choice) {
  const std::string lease = "lease:" + key_of(choice.id);
  const std::string token = std::to_string(number_) + " " + std::to_string(operation_);
  const Answer answer = cache_.command({"SET", lease, token, "NX", "PX", std::to_string(choice.lease_ms)});
  Record fill;
  if (!select(choice, fill) || !answer.is_text("OK")) return;
  const Outcome outcome = choice.by_script ? store_by_script(choice, lease, token, fill)
                                           : store_by_watch(choice, lease, token, fill);
  note_fill(fill, outcome);
}

Outcome Reader::store_by_watch(const Choice& choice, const std::string& lease, const std::string& token,
                               Record& fill) {
  if (!choice.inside) linger(choice);
  const std::vector<Answer> seen = cache_.pipeline({{"WATCH", lease}, {"GET", lease}});
  if (choice.inside) linger(choice);
  fill.middle = now();
  if (!seen[1].is_text(token.c_str())) {
    cache_.command({"UNWATCH"});
    return Outcome::refused;
  }
  const Answer answer =
      cache_.pipeline({{"MULTI"},
                       {"SET", key_of(choice.id), text_of({fill.version, fill.number}), "EX", kLife},
                       {"UNLINK", lease},
                       {"EXEC"}})[3];
  if (answer.kind == Answer::Kind::lost) return Outcome::unknown;
  return answer.kind == Answer::Kind::list ? Outcome::done : Outcome::refused;
}

Outcome Reader::store_by_script(const Choice& choice, const std::string& lease, const std::string& token,
                                Record& fill) {
  linger(choice);
  fill.middle = now();
  const Answer answer = cache_.command(
      {"EVAL", kScript, "2", lease, key_of(choice.id), token, text_of({fill.version, fill.number}), kLife});
  if (answer.kind == Answer::Kind::lost) return Outcome::unknown;
  return answer.kind == Answer::Kind::number && answer.number == 1 ? Outcome::done : Outcome::refused;
}

// Messages that came until the row is stored say whether it is old already; those that come later drop it.
void Reader::fill_locally(const Choice& choice) {
  reading_ = choice.id;
  is_dropped_ = false;
  Record fill;
  if (!select(choice, fill)) return;
  linger(choice);
  drop_locally();
  fill.middle = now();
  const bool is_dropped = is_dropped_ || !subscription_->is_listening();
  if (local_.size() >= kMaxLocal) local_.clear();
  if (!is_dropped) local_[choice.id] = {{fill.version, fill.number}, now() + kLocalLife};
  note_fill(fill, is_dropped ? Outcome::refused : Outcome::done);
}

void Reader::drop_locally() {
  for (;;) {
    const Subscription::Event event = subscription_->next(0);
    if (event == Subscription::Event::none) {
      if (!subscription_->is_listening()) local_.clear();
      return;
    }
    const Message message =
        event == Subscription::Event::gap ? Message{} : parse_message(subscription_->text());
    is_dropped_ = is_dropped_ || message.said == Said::wide || message.id == reading_;
    if (message.said == Said::wide) {
      local_.clear();
    } else {
      local_.erase(message.id);
    }
  }
}

void Reader::note_read(std::int64_t id, const CachedValue& value, Source source, Nanoseconds begin,
                       Nanoseconds end) {
  Record record;
  record.type = RecordType::read;
  record.flag = static_cast<std::uint8_t>(source);
  record.protocol = static_cast<std::uint8_t>(protocol_);
  record.number = value.fill;
  record.id = id;
  record.version = value.version;
  record.begin = begin;
  record.end = end;
  log_.add(record);
  if (source == Source::hit) ++shared_.reads;
}

void Reader::note_fill(Record fill, Outcome outcome) {
  fill.flag = static_cast<std::uint8_t>(outcome);
  fill.protocol = static_cast<std::uint8_t>(protocol_);
  fill.end = now();
  log_.add(fill);
  if (outcome == Outcome::done) ++shared_.fills;
}

}  // namespace cache_invalidate::consistency
