// CommitTimes: when the batches of a range of positions were committed, so that the oldest that somebody lacks is known.
//
// Bounded: where very many are kept, neighbours share the older time, so that what is told is never too young.
#pragma once

#include <cstdint>
#include <deque>

namespace cache_invalidate::core {

class CommitTimes {
 public:
  static constexpr std::size_t kMost = 4096;

  // Positions never fall; times may. May throw std::bad_alloc.
  void add(std::uint64_t position, std::int64_t time);
  // Nobody lacks anything up to here.
  void forget(std::uint64_t position);
  // The oldest time behind `position`; `none` if there is nothing.
  std::int64_t oldest_behind(std::uint64_t position, std::int64_t none) const;

 private:
  struct Range {
    std::uint64_t last;  // its last position; it begins behind that of the one before
    std::int64_t time;   // the oldest of it and of all that come behind it
  };
  void halve();

  std::deque<Range> ranges_;
};

}  // namespace cache_invalidate::core
