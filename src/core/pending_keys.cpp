#include "core/pending_keys.hpp"

namespace cache_invalidate::core {

void PendingKeys::Set::add(std::string_view key, std::uint32_t family) {
  // Either may run out of memory: a family without a key does no harm.
  families.resize(keys.size());
  families.push_back(family);
  if (keys.add(0, key).inserted) weight += weight_of(key);
}

void PendingKeys::Set::clear() {
  // A set that was large gives its memory back, the list beside it as well.
  if (keys.size() > 16 * 1024) std::vector<std::uint32_t>().swap(families);
  keys.clear();
  families.clear();
  weight = 0;
  acknowledged = kNothing;
}

void PendingKeys::Set::swap(Set& other) noexcept {
  keys.swap(other.keys);
  families.swap(other.families);
  std::swap(weight, other.weight);
  std::swap(acknowledged, other.acknowledged);
}

void PendingKeys::add(std::string_view key, std::uint64_t position, std::uint32_t family) {
  collecting_.add(key, family);
  // What was acknowledged stays so; of this position itself something is owed now.
  collecting_.acknowledged = std::min({collecting_.acknowledged, position_, position == 0 ? 0 : position - 1});
  position_ = std::max(position_, position);
}

void PendingKeys::depart() {
  in_flight_.swap(collecting_);
  collecting_.clear();
}

void PendingKeys::put_back() {
  if (in_flight_.keys.empty()) return;
  // The older set takes the newer ones in: the cheaper way round after a long outage, and it keeps the order.
  collecting_.for_each([&](std::string_view key, std::uint32_t family) { in_flight_.add(key, family); });
  in_flight_.acknowledged = std::min(in_flight_.acknowledged, collecting_.acknowledged);
  in_flight_.swap(collecting_);
  in_flight_.clear();
}

void PendingKeys::renumber(const std::vector<std::uint32_t>& numbers) {
  for (std::uint32_t& family : collecting_.families) family = numbers[family];
  for (std::uint32_t& family : in_flight_.families) family = numbers[family];
}

}  // namespace cache_invalidate::core
