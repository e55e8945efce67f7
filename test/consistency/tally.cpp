#include "tally.hpp"

#include <algorithm>
#include <cmath>

namespace cache_invalidate::consistency {

Nanoseconds percentile(std::vector<Nanoseconds>& values, std::int64_t count, double rank) {
  const auto listed = static_cast<std::int64_t>(values.size());
  const auto position =
      static_cast<std::int64_t>(std::ceil(rank * static_cast<double>(count))) - 1 - (count - listed);
  if (listed == 0 || position < 0) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(std::min(position, listed - 1))];
}

void Tally::add(const Judgement& judgement) {
  ++reads;
  ++verdicts[static_cast<std::size_t>(judgement.verdict)];
  const bool is_stale = judgement.verdict == Verdict::stale_within ||
                        judgement.verdict == Verdict::stale_in_fault ||
                        judgement.verdict == Verdict::stale_beyond;
  if (is_stale) ages.push_back(judgement.age);
}

void Tally::add(const Tally& other) {
  reads += other.reads;
  for (std::size_t i = 0; i < verdicts.size(); ++i) verdicts[i] += other.verdicts[i];
  ages.insert(ages.end(), other.ages.begin(), other.ages.end());
}

Tally Tallies::of(Protocol protocol) const {
  Tally sum;
  for (const auto& [key, tally] : tallies_) {
    if (key.first == protocol) sum.add(tally);
  }
  return sum;
}

Tally Tallies::of(const std::string& fault) const {
  Tally sum;
  for (const auto& [key, tally] : tallies_) {
    if (key.second == fault) sum.add(tally);
  }
  return sum;
}

Tally Tallies::all() const {
  Tally sum;
  for (const auto& [key, tally] : tallies_) sum.add(tally);
  return sum;
}

void Ages::add(Protocol protocol, std::int64_t version, Nanoseconds age) {
  Nanoseconds& oldest = oldest_[static_cast<int>(protocol)][version];
  oldest = std::max(oldest, age);
}

std::int64_t Ages::above(Protocol protocol, Nanoseconds limit) const {
  const auto& oldest = oldest_[static_cast<int>(protocol)];
  return std::count_if(oldest.begin(), oldest.end(),
                       [limit](const auto& entry) { return entry.second > limit; });
}

double share(std::int64_t misses, std::int64_t count) {
  if (count == 0) return 0;
  return std::max(0.0, 1 - static_cast<double>(misses == 0 ? 3 : misses) / static_cast<double>(count));
}

}  // namespace cache_invalidate::consistency
