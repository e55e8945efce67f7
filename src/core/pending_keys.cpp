#include "core/pending_keys.hpp"

#include <algorithm>

namespace cache_invalidate::core {

void PendingKeys::add(std::string_view key, std::uint64_t position) {
  const bool nothing_owed = collecting_.empty() && in_flight_.empty();
  collecting_.add(0, key);
  // What was acknowledged stays so; of this position itself something is owed now.
  if (nothing_owed && position > 0) acknowledged_ = std::min(collecting_position_, position - 1);
  collecting_position_ = position;
}

void PendingKeys::depart() {
  in_flight_.swap(collecting_);
  in_flight_position_ = collecting_position_;
}

void PendingKeys::arrived() {
  in_flight_.clear();
  acknowledged_ = in_flight_position_;
}

void PendingKeys::put_back() {
  if (in_flight_.empty()) return;
  // The older set takes the newer ones in: the cheaper way round after a long outage, and it keeps the order.
  for (std::uint32_t i = 0; i < collecting_.size(); ++i) in_flight_.add(0, collecting_.bytes(i));
  in_flight_.swap(collecting_);
  in_flight_.clear();
}

std::uint64_t PendingKeys::acknowledged() const {
  if (collecting_.empty() && in_flight_.empty()) return collecting_position_;
  return acknowledged_;
}

}  // namespace cache_invalidate::core
