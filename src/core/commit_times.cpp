#include "core/commit_times.hpp"

#include <algorithm>

namespace cache_invalidate::core {

// Times that rise from front to back: those that are not older than what comes behind them say nothing of their own.
void CommitTimes::add(std::uint64_t position, std::int64_t time) {
  std::size_t kept = ranges_.size();
  while (kept > 0 && (ranges_[kept - 1].time >= time || ranges_[kept - 1].last == position)) time = std::min(time, ranges_[--kept].time);
  if (kept < ranges_.size()) {
    // In the place of the first of them, which takes no memory.
    ranges_[kept] = {position, time};
    ranges_.resize(kept + 1);
    return;
  }
  if (ranges_.size() >= kMost) halve();
  ranges_.push_back({position, time});
}

void CommitTimes::halve() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i + 1 < ranges_.size(); i += 2) ranges_[kept++] = {ranges_[i + 1].last, ranges_[i].time};
  if (ranges_.size() % 2 != 0) ranges_[kept++] = ranges_.back();
  ranges_.resize(kept);
}

void CommitTimes::forget(std::uint64_t position) {
  while (!ranges_.empty() && ranges_.front().last <= position) ranges_.pop_front();
}

std::int64_t CommitTimes::oldest_behind(std::uint64_t position, std::int64_t none) const {
  const auto found = std::upper_bound(ranges_.begin(), ranges_.end(), position,
                                      [](std::uint64_t wanted, const Range& range) { return wanted < range.last; });
  return found == ranges_.end() ? none : found->time;
}

}  // namespace cache_invalidate::core
