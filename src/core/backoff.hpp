// Back-off: the first retry at once, then 1 s doubling to 30 s, each with jitter so that many servers whose
// Redis returned do not knock at the same moment.
#pragma once

#include <cstdint>

namespace cache_invalidate::core {

class Backoff {
 public:
  // Milliseconds to wait before the next attempt. `random` is any uniformly distributed number; it moves
  // the delay by up to a fifth to either side.
  std::int64_t next(std::uint32_t random) {
    const std::int64_t base = base_;
    base_ = base == 0 ? kFirst : (base * 2 < kMost ? base * 2 : kMost);
    return base - base / 5 + static_cast<std::int64_t>(random) * (2 * (base / 5)) / 0xFFFFFFFFLL;
  }
  // Configuration errors are retried slowly from the start.
  void slow_down() { base_ = kMost; }
  void reset() { base_ = 0; }

 private:
  static constexpr std::int64_t kFirst = 1000;
  static constexpr std::int64_t kMost = 30000;
  std::int64_t base_ = 0;
};

}  // namespace cache_invalidate::core
