#include "core/latency.hpp"

#include <algorithm>
#include <cmath>

namespace cache_invalidate::core {
namespace {

constexpr int kPerDoubling = 4;
constexpr std::int64_t kExact = 8;  // below, each number has a bucket of its own

}  // namespace

// 0..7 as they are; then four buckets for each power of two: 8, 10, 12, 14, 16, 20, ...
int Histogram::bucket_of(std::int64_t microseconds) {
  if (microseconds < kExact) return static_cast<int>(std::max<std::int64_t>(microseconds, 0));
  int doublings = 0;
  while (microseconds >= 2 * kExact) {
    microseconds /= 2;
    ++doublings;
  }
  const int bucket = static_cast<int>(kExact) + doublings * kPerDoubling + static_cast<int>((microseconds - kExact) / 2);
  return std::min(bucket, kBuckets - 1);
}

std::int64_t Histogram::upper_bound(int bucket) {
  if (bucket < kExact) return bucket;
  const int place = bucket - static_cast<int>(kExact);
  const std::int64_t step = std::int64_t{2} << (place / kPerDoubling);
  return (kExact << (place / kPerDoubling)) + step * (place % kPerDoubling + 1) - 1;
}

void Histogram::add(std::int64_t microseconds, std::uint64_t count) {
  buckets_[bucket_of(microseconds)].fetch_add(count, std::memory_order_relaxed);
  if (microseconds > most()) most_.store(microseconds, std::memory_order_relaxed);
}

void Histogram::add(const Histogram& other) {
  for (int i = 0; i < kBuckets; ++i) buckets_[i].fetch_add(other.buckets_[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  most_.store(std::max(most(), other.most()), std::memory_order_relaxed);
}

void Histogram::clear() {
  for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
  most_.store(0, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t sum = 0;
  for (const auto& bucket : buckets_) sum += bucket.load(std::memory_order_relaxed);
  return sum;
}

std::int64_t Histogram::percentile(double part) const {
  const std::uint64_t all = count();
  if (all == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(all))));
  std::uint64_t sum = 0;
  for (int i = 0; i < kBuckets; ++i) {
    sum += buckets_[i].load(std::memory_order_relaxed);
    if (sum >= wanted) return std::min(upper_bound(i), most());
  }
  return most();
}

// Where very many wait, they share a place: with the oldest time, so that what is told is not too short.
void LatencyWatch::begin(std::uint64_t position, std::int64_t committed) {
  if (waiting_.size() < kMost) {
    waiting_.push_back({position, committed, 1});
    return;
  }
  waiting_.back().position = position;
  ++waiting_.back().count;
}

void LatencyWatch::arrived(std::uint64_t position, std::int64_t now, Histogram& histogram) {
  while (!waiting_.empty() && waiting_.front().position <= position) {
    histogram.add(now - waiting_.front().committed, waiting_.front().count);
    waiting_.pop_front();
  }
}

}  // namespace cache_invalidate::core
