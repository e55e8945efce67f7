// The rules by which reads, keys and messages are judged: pure, without clock, files or servers.
//
// A change is *newer* for a read if its version is higher and its commit was acknowledged before the read
// began; then the read is stale, and there is no false alarm in that. What is forgiven: the window in which
// deletes are on their way, the time of a fault until it is recovered from, and fill races of protocols that
// have them: a value that may have been stored after the change's delete, because storing it ended after its
// commit had begun.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "log.hpp"

namespace cache_invalidate::consistency {

// When a transaction was committed, of all that is known. Unknown outcomes have no acknowledgement; whether
// they were committed the database knows.
struct CommitTimes {
  Nanoseconds begin = 0;  // it was not committed before; 0: nobody knows
  Nanoseconds acknowledged = kNever;
};

class Commits {
 public:
  // The same transaction may be noted more than once: asked for again, or settled by another session.
  void note(std::int64_t token, Nanoseconds begin, Nanoseconds acknowledged);
  CommitTimes times(std::int64_t token) const;

 private:
  std::unordered_map<std::int64_t, CommitTimes> times_;
};

// A committed version of an id. `is_removal`: from then on there is no such row.
struct Change {
  std::int64_t id = 0;
  std::int64_t version = 0;
  std::int64_t token = 0;
  bool is_removal = false;
  bool is_hidden = false;  // the same transaction changed it again: nobody else can have seen this version
  CommitTimes commit;
};

// All that was committed. Version 0 of any id is "never there".
class History {
 public:
  void add(const Change& change) { changes_.push_back(change); }
  // After the last add().
  void seal();

  struct Range {
    const Change* first;
    const Change* last;
    const Change* begin() const { return first; }
    const Change* end() const { return last; }
    bool empty() const { return first == last; }
  };
  // nullptr: never committed.
  const Change* find(std::int64_t id, std::int64_t version) const;
  Range after(std::int64_t id, std::int64_t version) const;  // ascending
  // nullptr: no change of it.
  const Change* newest(std::int64_t id) const;
  const std::vector<Change>& all() const { return changes_; }

 private:
  std::vector<Change> changes_;
};

struct Fault {
  Nanoseconds begin = 0;
  Nanoseconds end = 0;
  std::string name;
};

// What a protocol cannot do better.
struct Guard {
  bool forgives_races = false;
  Nanoseconds second_delete =
      0;  // so much after the first; 0: none. Fills that are later than it are forgiven
};

struct Rules {
  Nanoseconds window = kSecond;  // from a commit's acknowledgement until its deletes must have happened
  Nanoseconds recovery = 0;      // from a fault's end until nothing of it can be seen any more
  std::vector<Fault> faults;
  Guard guards[kProtocols];

  // The fault that excuses what happens at this time, or nullptr; `later`: it takes so much longer to
  // recover.
  const Fault* fault_at(Nanoseconds time, Nanoseconds later = 0) const;
  // When all that follows from the commit must have happened: after the window, or when the faults that it
  // meets are recovered from.
  Nanoseconds deadline(const CommitTimes& commit) const;
};

struct Fill {
  Nanoseconds stored = 0;  // the latest time at which it can have been stored; 0: surely before the change,
                           // kNever: nobody knows
};

struct Read {
  Protocol protocol = Protocol::plain;
  std::int64_t id = 0;
  std::int64_t version = 0;
  Nanoseconds begin = 0;
  Nanoseconds end = 0;
};

enum class Verdict {
  fresh,
  stale_within,    // the window
  stale_in_fault,  // beyond the window, but a fault or what follows it was going on
  fill_race,       // beyond the window, and of a protocol without a cure
  stale_beyond,    // a violation, as all that follow
  never_committed,
  not_yet,  // seen before its commit began
};
inline constexpr int kVerdicts = 7;
const char* name_of(Verdict verdict);
inline bool is_violation(Verdict verdict) {
  return verdict >= Verdict::stale_beyond;
}

struct Judgement {
  Verdict verdict = Verdict::fresh;
  Nanoseconds age = 0;  // since the first newer version was acknowledged
  const Change* by =
      nullptr;  // the change that should have been seen, or the version that was not to be seen
};

Judgement judge_read(const Read& read, const Fill& fill, const History& history, const Rules& rules);

// What is in the cache when everything is healed and delivered: no window and no fault is an excuse. Unknown
// outcomes that were committed count here.
Judgement judge_key(const Read& key, const Fill& fill, const History& history, const Rules& rules);

// A row that came from the database itself has to be fresh: a test of the clients and of the judge.
Judgement judge_row(const Read& read, const History& history);

// A message may come late and twice, but tells of nothing that was not committed, and of nothing before.
// `fresh`: it may.
Judgement judge_message(Said said, std::int64_t id, std::int64_t version, Nanoseconds arrival,
                        const History& history);

// A time in which a listener may have missed messages.
struct Gap {
  Nanoseconds begin = 0;
  Nanoseconds end = 0;
};

// Whether no message of this commit may be missing: nobody was away when it was to be sent.
bool must_be_announced(const CommitTimes& commit, const std::vector<Gap>& gaps, const Rules& rules);

}  // namespace cache_invalidate::consistency
