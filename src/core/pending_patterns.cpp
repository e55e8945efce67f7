#include "core/pending_patterns.hpp"

#include <functional>
#include <iterator>
#include <utility>

namespace cache_invalidate::core {

// There are few, at most some thousand: comparing their hashes one by one is quick.
std::size_t PendingPatterns::find(const std::vector<Owed>& list, std::string_view glob) {
  if (list.empty()) return 0;
  const std::size_t hash = std::hash<std::string_view>()(glob);
  const auto is_same = [&](const Owed& owed) { return owed.hash == hash && owed.glob == glob; };
  return static_cast<std::size_t>(std::find_if(list.begin(), list.end(), is_same) - list.begin());
}

void PendingPatterns::changed() {
  ++generation_;
  acknowledged_ = kNothing;
  weight_ = 0;
  for (const std::vector<Owed>* list : {&in_flight_, &collecting_}) {
    for (const Owed& owed : *list) {
      acknowledged_ = std::min(acknowledged_, owed.acknowledged);
      weight_ += weight_of(owed.glob);
    }
  }
}

void PendingPatterns::add(std::string_view glob, std::uint32_t family, std::uint64_t position, std::uint64_t acknowledged) {
  // What was acknowledged stays so; of this position itself something is owed now.
  acknowledged = std::min({acknowledged, position_, position == 0 ? 0 : position - 1});
  const std::size_t known = find(collecting_, glob);
  if (known < collecting_.size()) {
    collecting_[known].acknowledged = std::min(collecting_[known].acknowledged, acknowledged);
  } else {
    collecting_.push_back({std::string(glob), std::hash<std::string_view>()(glob), family, acknowledged});
    weight_ += weight_of(glob);
    ++generation_;
  }
  position_ = std::max(position_, position);
  acknowledged_ = std::min(acknowledged_, acknowledged);
}

void PendingPatterns::depart(std::size_t most) {
  const auto end = collecting_.begin() + static_cast<std::ptrdiff_t>(std::min(most, collecting_.size()));
  in_flight_.assign(std::make_move_iterator(collecting_.begin()), std::make_move_iterator(end));
  collecting_.erase(collecting_.begin(), end);
  changed();
}

void PendingPatterns::arrived() {
  in_flight_.clear();
  changed();
}

void PendingPatterns::put_back() {
  if (in_flight_.empty()) return;
  in_flight_.reserve(in_flight_.size() + collecting_.size());  // or nothing happens
  in_flight_.swap(collecting_);
  for (Owed& owed : in_flight_) {
    const std::size_t known = find(collecting_, owed.glob);
    if (known < collecting_.size()) {
      collecting_[known].acknowledged = std::min(collecting_[known].acknowledged, owed.acknowledged);
    } else {
      collecting_.push_back(std::move(owed));
    }
  }
  in_flight_.clear();
  changed();
}

}  // namespace cache_invalidate::core
