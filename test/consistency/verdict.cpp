#include "verdict.hpp"

#include <algorithm>
#include <tuple>

namespace cache_invalidate::consistency {

namespace {

bool stands_before(const Change& change, std::int64_t id, std::int64_t version) {
  return std::tie(change.id, change.version) < std::tie(id, version);
}

const Change* first_from(const std::vector<Change>& changes, std::int64_t id, std::int64_t version) {
  const auto found = std::lower_bound(changes.begin(), changes.end(), 0, [&](const Change& change, int) {
    return stands_before(change, id, version);
  });
  return changes.data() + (found - changes.begin());
}

// How a change bears on an old value that is still there.
enum class Excuse {
  none,  // it was to be deleted within the window
  race,  // it may have been stored after the last delete
};

struct Limit {
  Excuse excuse = Excuse::none;
  Nanoseconds end = 0;  // until when the old value may be there
};

Nanoseconds put_off(Nanoseconds time, Nanoseconds by) {
  return time > kNever - by ? kNever : time + by;
}

Limit limit_of(const Change& change, const Fill& fill, const Guard& guard, Nanoseconds window) {
  const Nanoseconds deleted = put_off(change.commit.acknowledged, window);
  if (fill.stored <= change.commit.begin) return {Excuse::none, deleted};
  if (guard.second_delete > 0) {
    const bool is_in_time = fill.stored - guard.second_delete <= change.commit.begin;
    return {is_in_time ? Excuse::none : Excuse::race, put_off(deleted, guard.second_delete)};
  }
  return {guard.forgives_races ? Excuse::race : Excuse::none, deleted};
}

// Impossible, or fresh as far as that goes.
Judgement judge_existence(std::int64_t id, std::int64_t version, Nanoseconds seen, const History& history,
                          bool may_be_hidden = false) {
  if (version == 0) return {};
  const Change* change = history.find(id, version);
  if (change == nullptr || (change->is_hidden && !may_be_hidden))
    return {Verdict::never_committed, 0, change};
  if (change->commit.begin > seen) return {Verdict::not_yet, change->commit.begin - seen, change};
  return {};
}

}  // namespace

const char* name_of(Verdict verdict) {
  static constexpr const char* kNames[kVerdicts] = {
      "fresh", "stale_within", "stale_in_fault", "fill_race", "stale_beyond", "never_committed", "not_yet"};
  return kNames[static_cast<int>(verdict)];
}

void Commits::note(std::int64_t token, Nanoseconds begin, Nanoseconds acknowledged) {
  const auto [place, is_new] = times_.try_emplace(token, CommitTimes{begin, acknowledged});
  if (is_new) return;
  place->second.begin = std::min(place->second.begin, begin);
  place->second.acknowledged = std::min(place->second.acknowledged, acknowledged);
}

CommitTimes Commits::times(std::int64_t token) const {
  const auto found = times_.find(token);
  return found == times_.end() ? CommitTimes{} : found->second;
}

void History::seal() {
  std::sort(changes_.begin(), changes_.end(), [](const Change& one, const Change& other) {
    return stands_before(one, other.id, other.version);
  });
  for (std::size_t i = 1; i < changes_.size(); ++i) {
    const bool is_same = changes_[i].id == changes_[i - 1].id && changes_[i].token == changes_[i - 1].token;
    changes_[i - 1].is_hidden = is_same && changes_[i].token != 0;
  }
}

const Change* History::find(std::int64_t id, std::int64_t version) const {
  const Change* found = first_from(changes_, id, version);
  const bool is_it =
      found != changes_.data() + changes_.size() && found->id == id && found->version == version;
  return is_it ? found : nullptr;
}

History::Range History::after(std::int64_t id, std::int64_t version) const {
  return {first_from(changes_, id, version + 1), first_from(changes_, id + 1, INT64_MIN)};
}

const Change* History::newest(std::int64_t id) const {
  const Range range = after(id, INT64_MIN);
  return range.empty() ? nullptr : range.last - 1;
}

const Fault* Rules::fault_at(Nanoseconds time, Nanoseconds later) const {
  for (const Fault& fault : faults) {
    if (fault.begin <= time && time - recovery - later <= fault.end) return &fault;
  }
  return nullptr;
}

Nanoseconds Rules::deadline(const CommitTimes& commit) const {
  Nanoseconds end = put_off(commit.acknowledged, window);
  // A fault may be met only because another one had put it off.
  for (bool is_later = true; is_later;) {
    is_later = false;
    for (const Fault& fault : faults) {
      const Nanoseconds recovered = put_off(fault.end, recovery);
      if (fault.begin > end || recovered < commit.begin || recovered <= end) continue;
      end = recovered;
      is_later = true;
    }
  }
  return end;
}

bool must_be_announced(const CommitTimes& commit, const std::vector<Gap>& gaps, const Rules& rules) {
  const Nanoseconds deadline = rules.deadline(commit);
  for (const Gap& gap : gaps) {
    if (gap.begin <= deadline && commit.begin <= gap.end) return false;
  }
  return true;
}

Judgement judge_read(const Read& read, const Fill& fill, const History& history, const Rules& rules) {
  Judgement judgement = judge_existence(read.id, read.version, read.end, history);
  if (is_violation(judgement.verdict)) return judgement;
  const Guard& guard = rules.guards[static_cast<int>(read.protocol)];
  bool is_race = false;
  for (const Change& newer : history.after(read.id, read.version)) {
    if (newer.commit.acknowledged >= read.begin) continue;
    const Nanoseconds age = read.begin - newer.commit.acknowledged;
    if (age > judgement.age) judgement = {Verdict::stale_within, age, &newer};
    const Limit limit = limit_of(newer, fill, guard, rules.window);
    if (read.begin <= limit.end) continue;
    if (limit.excuse == Excuse::race) {
      is_race = true;
      continue;
    }
    const bool is_excused = rules.fault_at(read.begin, guard.second_delete) != nullptr;
    return {is_excused ? Verdict::stale_in_fault : Verdict::stale_beyond, judgement.age, &newer};
  }
  if (is_race) judgement.verdict = Verdict::fill_race;
  return judgement;
}

Judgement judge_key(const Read& key, const Fill& fill, const History& history, const Rules& rules) {
  Judgement judgement = judge_existence(key.id, key.version, key.end, history);
  if (is_violation(judgement.verdict)) return judgement;
  const Guard& guard = rules.guards[static_cast<int>(key.protocol)];
  for (const Change& newer : history.after(key.id, key.version)) {
    if (limit_of(newer, fill, guard, 0).excuse == Excuse::none) return {Verdict::stale_beyond, 0, &newer};
    judgement = {Verdict::fill_race, 0, &newer};
  }
  return judgement;
}

Judgement judge_row(const Read& read, const History& history) {
  Judgement judgement = judge_existence(read.id, read.version, read.end, history);
  if (is_violation(judgement.verdict)) return judgement;
  for (const Change& newer : history.after(read.id, read.version)) {
    if (newer.commit.acknowledged < read.begin) {
      return {Verdict::stale_beyond, read.begin - newer.commit.acknowledged, &newer};
    }
  }
  return judgement;
}

Judgement judge_message(Said said, std::int64_t id, std::int64_t version, Nanoseconds arrival,
                        const History& history) {
  if (said == Said::wide) return {};
  Judgement judgement = judge_existence(id, version, arrival, history, true);
  if (is_violation(judgement.verdict) || said != Said::removal) return judgement;
  // It names the version that was removed.
  for (const Change& later : history.after(id, version)) {
    if (!later.is_removal) continue;
    if (later.commit.begin <= arrival) return {};
    return {Verdict::not_yet, later.commit.begin - arrival, &later};
  }
  return {Verdict::never_committed, 0, nullptr};
}

}  // namespace cache_invalidate::consistency
