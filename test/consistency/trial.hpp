// Hears the evidence and judges it: each read, each key that is left, each message, and what should have been
// there and is not.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "evidence.hpp"
#include "log.hpp"
#include "tally.hpp"
#include "verdict.hpp"

namespace cache_invalidate::consistency {

struct ProtocolCounts {
  std::int64_t hits = 0, misses = 0;
  std::int64_t fills[3] = {};              // by Outcome
  std::unordered_set<std::int64_t> races;  // fills that left an old value for longer than the window
  std::int64_t keys = 0;                   // in the end
  std::int64_t stale_keys = 0;             // of them, by fill races
};

class Trial {
 public:
  Trial(const Evidence& evidence, const Rules& rules, std::string logs);
  void hear();

  Tallies tallies;
  Ages ages;
  ProtocolCounts protocols[kProtocols];
  std::vector<Nanoseconds> announced[2];  // by Channel: from the begin of the commit to the message
  std::int64_t messages[2] = {}, wide[2] = {}, repeated[2] = {};
  std::int64_t changes = 0;  // committed and acknowledged, after the preparation
  std::int64_t unknown = 0;  // committed, though nobody was told
  std::int64_t signals = 0;  // keys that the cache had when their message came
  std::int64_t old_signals =
      0;  // of them, older than the message: it left before the cache was asked to delete
  std::int64_t must_announced = 0;      // last changes whose message nobody can have missed
  std::vector<std::string> violations;  // what each was

 private:
  void count_changes();
  void hear_read(const Record& record);
  void hear_fills();
  void judge_suspects();
  void judge_keys();
  void judge_messages();
  void judge_silence();
  void judge_books();
  Fill fill_of(std::int64_t number) const;
  void note_ages(const Record& record);
  void accuse(const Judgement& judgement, Protocol protocol, const Record& read, const char* what);
  std::string at(Nanoseconds time) const;
  std::string describe(const Change& change) const;
  std::string describe_fill(std::int64_t number) const;

  const Evidence& evidence_;
  const Rules& rules_;
  const std::string logs_;
  std::vector<Record> suspects_;  // stale reads, until it is known how their values came there
  std::unordered_map<std::int64_t, Record> fills_;  // those of suspects
};

}  // namespace cache_invalidate::consistency
