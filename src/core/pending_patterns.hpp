// PendingPatterns: the patterns of keys owed to one target, folded across transactions. Like PendingKeys, but few
// depart at a time, the oldest first, so that each knows since when it is owed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace cache_invalidate::core {

class PendingPatterns {
 public:
  static constexpr std::uint64_t kNothing = std::numeric_limits<std::uint64_t>::max();

  // A long one counts for several.
  static std::size_t weight_of(std::string_view glob) { return 1 + glob.size() / 1024; }

  // `position`: of the batch that owes it. `family`: a number that the caller gives meaning to. `acknowledged`: if what
  // the pattern stands for is owed for longer, everything up to here had been acknowledged.
  void add(std::string_view glob, std::uint32_t family, std::uint64_t position, std::uint64_t acknowledged = kNothing);
  // Nothing more is owed up to this position.
  void note_position(std::uint64_t position) { position_ = position; }

  std::size_t collecting() const { return collecting_.size(); }
  std::size_t in_flight() const { return in_flight_.size(); }
  // Of both sets.
  std::size_t weight() const { return weight_; }

  // Makes the oldest of what was collected the set in flight. Only when none is.
  void depart(std::size_t most);
  const std::string& glob(std::size_t index) const { return in_flight_[index].glob; }
  // The set in flight is done.
  void arrived();
  // The connection is gone: it is owed again.
  void put_back();

  // Whether this glob was collected and has not departed: then what it covers need not be owed apart.
  bool collects(std::string_view glob) const { return find(collecting_, glob) < collecting_.size(); }
  // Changes whenever that may have another answer.
  std::uint64_t generation() const { return generation_; }

  // Forgets those collected that drop(glob, family) is true of; the caller owes something else for them.
  template <typename Drop>
  void take_out(Drop drop);
  void forget_collected() {
    take_out([](const std::string&, std::uint32_t) { return true; });
  }

  // visit(glob, family): those collected, and those in flight.
  template <typename Visit>
  void for_each_collected(Visit visit) const {
    for (const Owed& owed : collecting_) visit(owed.glob, owed.family);
  }
  template <typename Visit>
  void for_each_in_flight(Visit visit) const {
    for (const Owed& owed : in_flight_) visit(owed.glob, owed.family);
  }
  // Gives the families other numbers.
  void renumber(const std::vector<std::uint32_t>& numbers) {
    for (Owed& owed : in_flight_) owed.family = numbers[owed.family];
    for (Owed& owed : collecting_) owed.family = numbers[owed.family];
  }

  // Everything up to this position has been acknowledged.
  std::uint64_t acknowledged() const { return std::min(position_, acknowledged_); }

 private:
  struct Owed {
    std::string glob;
    std::size_t hash;
    std::uint32_t family;
    std::uint64_t acknowledged;  // when it came to be owed
  };

  static std::size_t find(const std::vector<Owed>& list, std::string_view glob);
  void changed();

  std::vector<Owed> collecting_;  // oldest first
  std::vector<Owed> in_flight_;
  std::uint64_t position_ = 0;
  std::uint64_t acknowledged_ = kNothing;  // the least of all that is owed
  std::size_t weight_ = 0;
  std::uint64_t generation_ = 0;
};

template <typename Drop>
void PendingPatterns::take_out(Drop drop) {
  const auto is_dropped = [&](const Owed& owed) { return drop(owed.glob, owed.family); };
  collecting_.erase(std::remove_if(collecting_.begin(), collecting_.end(), is_dropped), collecting_.end());
  changed();
}

}  // namespace cache_invalidate::core
