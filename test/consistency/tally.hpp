// Counts of what was judged, and the figures that come from them: pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "log.hpp"
#include "verdict.hpp"

namespace cache_invalidate::consistency {

// The value below which the share `rank` (0 ... 1) of `count` values lies, of which those that are not listed
// are 0. Sorts.
Nanoseconds percentile(std::vector<Nanoseconds>& values, std::int64_t count, double rank);

struct Tally {
  std::int64_t reads = 0;
  std::array<std::int64_t, kVerdicts> verdicts{};
  std::vector<Nanoseconds> ages;  // of stale reads, but for fill races

  void add(const Judgement& judgement);
  void add(const Tally& other);
  std::int64_t count(Verdict verdict) const { return verdicts[static_cast<std::size_t>(verdict)]; }
};

// By protocol and by the fault that was going on; "none" where none was.
class Tallies {
 public:
  Tally& at(Protocol protocol, const std::string& fault) { return tallies_[{protocol, fault}]; }
  Tally of(Protocol protocol) const;
  Tally of(const std::string& fault) const;
  Tally all() const;
  const std::map<std::pair<Protocol, std::string>, Tally>& each() const { return tallies_; }

 private:
  std::map<std::pair<Protocol, std::string>, Tally> tallies_;
};

// Of each change, how long after its acknowledgement somebody was still given an older version.
class Ages {
 public:
  void add(Protocol protocol, std::int64_t version, Nanoseconds age);
  // Changes that were not seen after so long.
  std::int64_t above(Protocol protocol, Nanoseconds limit) const;

 private:
  std::unordered_map<std::int64_t, Nanoseconds> oldest_[kProtocols];
};

// 1 - misses/count, where no miss in n says no more than 1 - 3/n (95 %).
double share(std::int64_t misses, std::int64_t count);

}  // namespace cache_invalidate::consistency
