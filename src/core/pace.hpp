// Pace: under load what is committed within a fraction of a millisecond goes out together, and nobody who commits has to wake
// anybody. What comes alone goes at once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cache_invalidate::core {

class Pace {
 public:
  // Microseconds.
  static constexpr std::int64_t kShortest = 800;

  // So many transactions were taken at that time, in microseconds. The load begins with a second time within the pace, and ends
  // when the pace is too short for more than one transaction.
  void note(std::uint64_t taken, std::int64_t now) {
    is_loaded_ = is_loaded_ ? taken > 1 : taken > 0 && now - last_ < kShortest;
    if (taken > 0) last_ = now;
  }
  // Until when more should be waited for; in the past: not at all. Never longer than the pace, whatever the clock does.
  std::int64_t until(std::int64_t now) const { return is_loaded_ ? std::min(last_, now) + kShortest : 0; }

 private:
  std::int64_t last_ = 0;
  bool is_loaded_ = false;
};

}  // namespace cache_invalidate::core
