#include "delivery/gate.hpp"

#include <algorithm>

#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

// The journal is read for it, all servers hear it, and a checkpoint waits: not more often.
constexpr TimestampTz kRepeatPause = 5000000;

bool may_repeat(const Target& target) {
  const Standing& standing = target.standing;
  // One that does not answer what is published would lose the repetition as well.
  return standing.owes_messages && !target.is_detached() && target.enabled() && (target.is_up() || !target.publishes()) &&
         target.acknowledged() >= std::max(standing.passed_position, target.reliable_from) && target.published() >= standing.passed_position;
}

}  // namespace

bool Gate::is_waited_for(const Target& target, TimestampTz now) const {
  return !is_open_ && !target.standing.passed && target.is_waited_for(now);
}

// It answers, but not as fast as messages are published: who went on would only lose some.
bool Gate::is_clogged(const Target& target, TimestampTz now) {
  return target.is_up() && target.is_clogged() && now < target.contact() + settings::signal_timeout * 1000L;
}

bool Gate::is_clogged(TimestampTz now) const {
  return std::any_of(targets_.begin(), targets_.end(), [now](const auto& target) { return is_clogged(*target, now); });
}

std::uint64_t Gate::open_to(std::uint64_t position, TimestampTz now) const {
  for (const auto& target : targets_) {
    if (is_waited_for(*target, now)) position = std::min(position, target->acknowledged());
    if (is_clogged(*target, now)) return 0;
  }
  return position;
}

TimestampTz Gate::opens(TimestampTz now) const {
  TimestampTz latest = now;
  for (const auto& target : targets_) {
    if (is_waited_for(*target, now)) latest = std::max(latest, target->waited_until());
    if (is_clogged(*target, now)) latest = std::max(latest, target->contact() + settings::signal_timeout * 1000L);
  }
  return latest;
}

void Gate::note_sent(std::uint64_t position, TimestampTz now) {
  for (const auto& target : targets_) {
    // Of one that is behind it is not known what it owes: what is new to it was not waited for by anybody.
    if (!target->enabled() || target->is_detached() || target->acknowledged() >= position) continue;
    // Not to wait at all is somebody's wish, and what answers deletes its keys a moment later.
    if (settings::signal_timeout == 0 && target->is_up() && !target->standing.passed) continue;
    Standing& standing = target->standing;
    if (!standing.passed) standing.passed_at = now;
    standing.passed = true;
    standing.passed_position = std::max(standing.passed_position, position);
    if (volatile_position_ > target->acknowledged()) standing.reset_due = true;
    if (standing.owes_messages) continue;
    standing.owes_messages = true;
    standing.repeat_from = target->delivered;
  }
}

void Gate::note_behind(Target& target) {
  target.standing.owes_messages = true;
  target.standing.repeat_from = core::XidSnapshot();
}

void Gate::settle(std::uint64_t position, const core::XidSnapshot& said) {
  for (const auto& target : targets_) {
    Standing& standing = target->standing;
    if (target->take_lost_messages()) {
      // Its deletes may be further than its messages: both begin again where the messages were. So does a worker that is started
      // before they are repeated.
      if (said.is_within(target->delivered)) target->delivered = said;
      if (!standing.owes_messages || said.is_within(standing.repeat_from)) standing.repeat_from = target->delivered;
      standing.owes_messages = true;
      standing.passed_position = std::max(standing.passed_position, position);
      // Which of them were lost is not known.
      if (volatile_position_ > 0) standing.reset_due = true;
    }
    if (target->is_up() && !target->is_detached() && target->settled() >= target->reliable_from) target->presumed_lost = false;
    if (!standing.passed || !target->is_up() || target->is_detached()) continue;
    const bool answers = target->contact() > standing.passed_at;
    if (answers && target->owed() <= static_cast<std::size_t>(settings::batch_size)) standing.passed = false;
  }
}

void Gate::give_up_repeats() {
  for (const auto& target : targets_) {
    if (target->standing.owes_messages) target->standing.reset_due = true;
  }
}

bool Gate::wants_repeat(TimestampTz now) const {
  return now >= repeats_from_ && std::any_of(targets_.begin(), targets_.end(), [](const auto& target) { return may_repeat(*target); });
}

std::vector<core::XidSnapshot> Gate::take_repeats(bool& reset) {
  std::vector<core::XidSnapshot> repeats;
  const TimestampTz now = GetCurrentTimestamp();
  if (!wants_repeat(now)) return repeats;
  repeats_from_ = now + kRepeatPause;
  for (const auto& target : targets_) {
    if (!may_repeat(*target)) continue;
    Standing& standing = target->standing;
    repeats.push_back(standing.repeat_from);
    reset = reset || standing.reset_due;
    standing = Standing();
  }
  return repeats;
}

}  // namespace cache_invalidate::delivery
