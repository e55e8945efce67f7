// OpenPositions: a queue of positions, not in order, that knows its smallest: a sliding window's minimum, constant
// time an operation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace cache_invalidate::core {

class OpenPositions {
 public:
  static constexpr std::uint64_t kNone = UINT64_MAX;

  void push(std::uint64_t position) {
    queue_.push_back(position);
    try {
      candidates_.push_back(position);
    } catch (...) {
      queue_.pop_back();
      throw;
    }
    // What is larger and older leaves earlier: it can never be the smallest again.
    const auto own = candidates_.end() - 1;
    candidates_.erase(std::upper_bound(candidates_.begin(), own, position), own);
  }
  void pop() {
    if (candidates_.front() == queue_.front()) candidates_.pop_front();
    queue_.pop_front();
  }
  void clear() {
    queue_.clear();
    candidates_.clear();
  }
  std::size_t size() const { return queue_.size(); }
  // kNone: there is none.
  std::uint64_t smallest() const { return candidates_.empty() ? kNone : candidates_.front(); }

 private:
  std::deque<std::uint64_t> queue_;
  std::deque<std::uint64_t> candidates_;  // rising
};

}  // namespace cache_invalidate::core
