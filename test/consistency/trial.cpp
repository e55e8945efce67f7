#include "trial.hpp"

#include <algorithm>
#include <cstdio>

#include "shared.hpp"

namespace cache_invalidate::consistency {

namespace {

Read read_of(const Record& record) {
  return {static_cast<Protocol>(record.protocol), record.id, record.version, record.begin, record.end};
}

}  // namespace

Trial::Trial(const Evidence& evidence, const Rules& rules, std::string logs)
    : evidence_(evidence), rules_(rules), logs_(std::move(logs)) {}

void Trial::hear() {
  count_changes();
  read_logs(logs_, [this](const Record& record) {
    if (record.type == RecordType::read) hear_read(record);
  });
  for (const Record& suspect : suspects_) fills_.try_emplace(suspect.number);
  for (const CachedKey& key : evidence_.keys) {
    const Change* newest = evidence_.history.newest(key.id);
    if (newest != nullptr && newest->version != key.version) fills_.try_emplace(key.fill);
  }
  hear_fills();
  judge_suspects();
  judge_keys();
  judge_messages();
  judge_silence();
  judge_books();
}

void Trial::count_changes() {
  for (const Change& change : evidence_.history.all()) {
    if (change.token == 0 || change.is_hidden) continue;
    ++(change.commit.acknowledged == kNever ? unknown : changes);
  }
}

void Trial::hear_read(const Record& record) {
  const Read read = read_of(record);
  ProtocolCounts& counts = protocols[record.protocol];
  if (static_cast<Source>(record.flag) == Source::miss) {
    ++counts.misses;
    if (read.protocol == Protocol::replica) return;  // a standby may lag
    const Judgement judgement = judge_row(read, evidence_.history);
    if (judgement.verdict != Verdict::fresh) accuse(judgement, read.protocol, record, "row");
    return;
  }
  if (static_cast<Source>(record.flag) == Source::signal) {
    ++signals;
    if (record.version < record.middle) ++old_signals;
  } else {
    ++counts.hits;
  }
  const Judgement judgement = judge_read(read, {}, evidence_.history, rules_);
  if (judgement.verdict != Verdict::fresh &&
      (!is_violation(judgement.verdict) || judgement.verdict == Verdict::stale_beyond)) {
    suspects_.push_back(record);
    return;
  }
  const Fault* fault = rules_.fault_at(read.begin);
  tallies.at(read.protocol, fault == nullptr ? "none" : fault->name).add(judgement);
  if (is_violation(judgement.verdict)) accuse(judgement, read.protocol, record, "read");
}

void Trial::hear_fills() {
  read_logs(logs_, [this](const Record& record) {
    if (record.type != RecordType::fill) return;
    ++protocols[record.protocol].fills[record.flag];
    const auto wanted = fills_.find(record.number);
    if (wanted != fills_.end()) wanted->second = record;
  });
}

// One that nobody noted may have come at any time.
Fill Trial::fill_of(std::int64_t number) const {
  const auto found = fills_.find(number);
  const bool is_known = found != fills_.end() && found->second.end != 0 &&
                        static_cast<Outcome>(found->second.flag) != Outcome::unknown;
  return {is_known ? found->second.end : kNever};
}

void Trial::judge_suspects() {
  for (const Record& record : suspects_) {
    const Read read = read_of(record);
    const Judgement judgement = judge_read(read, fill_of(record.number), evidence_.history, rules_);
    const Fault* fault = rules_.fault_at(read.begin);
    tallies.at(read.protocol, fault == nullptr ? "none" : fault->name).add(judgement);
    if (judgement.verdict == Verdict::fill_race) {
      protocols[record.protocol].races.insert(record.number);
    } else {
      note_ages(record);
    }
    if (is_violation(judgement.verdict)) accuse(judgement, read.protocol, record, "read");
  }
}

void Trial::note_ages(const Record& record) {
  for (const Change& newer : evidence_.history.after(record.id, record.version)) {
    if (newer.commit.acknowledged >= record.begin) continue;
    ages.add(static_cast<Protocol>(record.protocol), newer.version, record.begin - newer.commit.acknowledged);
  }
}

void Trial::judge_keys() {
  const Nanoseconds time = now();
  for (const CachedKey& key : evidence_.keys) {
    ProtocolCounts& counts = protocols[static_cast<int>(key.protocol)];
    ++counts.keys;
    const Judgement judgement = judge_key({key.protocol, key.id, key.version, time, time}, fill_of(key.fill),
                                          evidence_.history, rules_);
    if (judgement.verdict == Verdict::fresh) continue;
    if (judgement.verdict == Verdict::fill_race) {
      ++counts.stale_keys;
      counts.races.insert(key.fill);
      continue;
    }
    if (judgement.by != nullptr) ages.add(key.protocol, judgement.by->version, kNever);
    Record record;
    record.number = key.fill;
    record.id = key.id;
    record.version = key.version;
    record.begin = time;
    accuse(judgement, key.protocol, record, "key in the end");
  }
}

void Trial::judge_messages() {
  std::unordered_map<std::int64_t, std::int64_t> newest[2];
  for (const Record& record : evidence_.messages) {
    const auto said = static_cast<Said>(record.flag);
    ++messages[record.protocol];
    if (said == Said::wide) {
      ++wide[record.protocol];
      continue;
    }
    const Judgement judgement =
        judge_message(said, record.id, record.version, record.begin, evidence_.history);
    if (is_violation(judgement.verdict)) accuse(judgement, Protocol::plain, record, "message");
    const Change* change = evidence_.history.find(record.id, record.version);
    std::int64_t& last = newest[record.protocol][record.id];
    if (record.version < last) ++repeated[record.protocol];
    if (said == Said::change && record.version > last && change != nullptr && change->commit.begin != 0) {
      announced[record.protocol].push_back(record.begin - change->commit.begin);
    }
    last = std::max(last, record.version);
  }
}

// The last change of a row that is never removed has its message, or a wide one stands for it.
void Trial::judge_silence() {
  std::unordered_map<std::int64_t, std::int64_t> told[2];
  Nanoseconds last_wide[2] = {}, last_of_parted[2] = {};
  for (const Record& record : evidence_.messages) {
    std::int64_t& version = told[record.protocol][record.id];
    version = std::max(version, record.version);
    if (static_cast<Said>(record.flag) != Said::wide) continue;
    (record.kind == 1 ? last_of_parted : last_wide)[record.protocol] = record.begin;
  }
  const std::vector<Change>& all = evidence_.history.all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool is_last = i + 1 == all.size() || all[i + 1].id != all[i].id;
    if (!is_last || all[i].is_removal || all[i].token == 0) continue;
    for (int channel = 0; channel < 2; ++channel) {
      if (evidence_.gaps[channel].empty() ||
          !must_be_announced(all[i].commit, evidence_.gaps[channel], rules_))
        continue;
      ++must_announced;
      const Nanoseconds begin = all[i].commit.begin;
      const bool is_wide =
          last_wide[channel] > begin || (is_parted(all[i].id) && last_of_parted[channel] > begin);
      if (told[channel][all[i].id] >= all[i].version || is_wide) continue;
      violations.push_back(std::string("no message by ") + (channel == 0 ? "NOTIFY" : "PUBLISH") + ": " +
                           describe(all[i]));
    }
  }
}

void Trial::judge_books() {
  std::unordered_set<std::int64_t> tokens;
  for (const Change& change : evidence_.history.all()) tokens.insert(change.token);
  for (const std::int64_t token : evidence_.changing) {
    if (tokens.count(token) == 0) {
      violations.push_back("commit lost: transaction " + std::to_string(token) + ", acknowledged " +
                           at(evidence_.commits.times(token).acknowledged));
    }
  }
  if (evidence_.differing > 0)
    violations.push_back(std::to_string(evidence_.differing) + " rows differ from the newest of the history");
  if (evidence_.unreadable > 0)
    violations.push_back(std::to_string(evidence_.unreadable) + " keys hold what nobody has stored");
}

std::string Trial::at(Nanoseconds time) const {
  if (time == kNever) return "never";
  if (time == 0) return "at an unknown time";
  char text[64];
  std::snprintf(text, sizeof text, "at %.6f",
                static_cast<double>(time - evidence_.begin) / static_cast<double>(kSecond));
  return text;
}

std::string Trial::describe(const Change& change) const {
  return "id " + std::to_string(change.id) + (change.is_removal ? " removal " : " version ") +
         std::to_string(change.version) + " of transaction " + std::to_string(change.token) +
         ", commit begun " + at(change.commit.begin) + ", acknowledged " + at(change.commit.acknowledged);
}

std::string Trial::describe_fill(std::int64_t number) const {
  const auto found = fills_.find(number);
  const std::string name = "fill " + std::to_string(number);
  if (found == fills_.end() || found->second.end == 0) return name + " of which nothing is known";
  static constexpr const char* kOutcomes[] = {"stored", "perhaps stored", "refused"};
  const Record& fill = found->second;
  return name + ": selected " + at(fill.begin) + ", storing " + at(fill.middle) + ", " +
         kOutcomes[fill.flag] + " " + at(fill.end);
}

void Trial::accuse(const Judgement& judgement, Protocol protocol, const Record& record, const char* what) {
  const bool is_message = record.type == RecordType::message;
  std::string text = std::string(name_of(judgement.verdict)) + ": " +
                     (is_message ? (record.protocol == 0 ? "NOTIFY" : "PUBLISH") : name_of(protocol)) + " " +
                     what + " of id " + std::to_string(record.id) + " version " +
                     std::to_string(record.version) + " " + at(record.begin);
  if (judgement.age > 0) text += ", age " + std::to_string(judgement.age / kMillisecond) + " ms";
  if (judgement.by != nullptr) text += "; against " + describe(*judgement.by);
  if (record.number != 0) text += "; " + describe_fill(record.number);
  violations.push_back(text);
}

}  // namespace cache_invalidate::consistency
