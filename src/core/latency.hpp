// Latencies: how long what was committed took to arrive. A histogram of fixed size, and the batches under way.
//
// The buckets grow by a quarter of a power of two, so that a percentile is right within a fifth. Plain numbers, written by
// one process: whoever reads them meanwhile sees a moment that is off by one.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>

namespace cache_invalidate::core {

class Histogram {
 public:
  static constexpr int kBuckets = 128;

  void add(std::int64_t microseconds, std::uint64_t count = 1);
  void add(const Histogram& other);
  void clear();
  std::uint64_t count() const;
  std::int64_t most() const { return most_.load(std::memory_order_relaxed); }
  // The upper bound of the bucket in which so much of all (0 to 1) is reached; 0: it is empty.
  std::int64_t percentile(double part) const;

 private:
  static int bucket_of(std::int64_t microseconds);
  static std::int64_t upper_bound(int bucket);

  std::atomic<std::uint64_t> buckets_[kBuckets] = {};
  std::atomic<std::int64_t> most_ = 0;
};

// The batches that one receiver has not acknowledged, with the times of their commits.
class LatencyWatch {
 public:
  // Positions never fall.
  void begin(std::uint64_t position, std::int64_t committed);
  // Everything up to here has arrived.
  void arrived(std::uint64_t position, std::int64_t now, Histogram& histogram);

 private:
  static constexpr std::size_t kMost = 4096;
  struct Waiting {
    std::uint64_t position;
    std::int64_t committed;
    std::uint64_t count;
  };
  std::deque<Waiting> waiting_;
};

}  // namespace cache_invalidate::core
