// PendingKeys: the keys owed to one target, folded across transactions.
//
// While one set is on its way (in flight), the next one collects: natural batching. A set counts as
// delivered only when every command of it was answered; a lost connection puts it back whole.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "core/byte_set.hpp"

namespace cache_invalidate::core {

class PendingKeys {
 public:
  static constexpr std::uint64_t kNothing = std::numeric_limits<std::uint64_t>::max();
  // So many keys of ordinary length would take as much memory.
  static std::size_t weight_of(std::string_view key) { return 1 + key.size() / 256; }

  // `position`: of the batch that owes the key, in the worker's order of consumption. `family`: a number that the
  // caller gives meaning to; a key that is owed already keeps its own.
  void add(std::string_view key, std::uint64_t position, std::uint32_t family = 0);

  // Nothing more is owed up to this position (batches without keys for this target move it as well).
  void note_position(std::uint64_t position) { position_ = position; }

  std::size_t collecting() const { return collecting_.keys.size(); }
  std::size_t in_flight() const { return in_flight_.keys.size(); }
  std::size_t memory() const { return collecting_.keys.memory() + in_flight_.keys.memory(); }
  // Of both sets.
  std::size_t weight() const { return collecting_.weight + in_flight_.weight; }

  // Makes what was collected the set in flight. Only when none is.
  void depart();
  std::string_view key(std::uint32_t index) const { return in_flight_.keys.bytes(index); }
  // All of the set in flight was acknowledged.
  void arrived() { in_flight_.clear(); }
  // The connection is gone: the set in flight is owed again.
  void put_back();

  // Forgets the collected keys that drop(family) is true of; the caller owes something else for them.
  template <typename Drop>
  void take_out(Drop drop);
  // What was acknowledged when the first of those collected came to be owed; kNothing if there are none.
  std::uint64_t acknowledged_before_collected() const { return collecting_.acknowledged; }
  void forget_collected() { collecting_.clear(); }

  // visit(key, family): those collected, and those in flight.
  template <typename Visit>
  void for_each_collected(Visit visit) const { collecting_.for_each(visit); }
  template <typename Visit>
  void for_each_in_flight(Visit visit) const { in_flight_.for_each(visit); }
  // Gives the families other numbers.
  void renumber(const std::vector<std::uint32_t>& numbers);

  // Everything up to this position has been acknowledged.
  std::uint64_t acknowledged() const {
    return std::min({position_, collecting_.acknowledged, in_flight_.acknowledged});
  }

 private:
  struct Set {
    ByteSet keys;
    std::vector<std::uint32_t> families;   // of the keys
    std::size_t weight = 0;
    std::uint64_t acknowledged = kNothing;  // when its first key came to be owed

    void add(std::string_view key, std::uint32_t family);
    void clear();
    void swap(Set& other) noexcept;
    template <typename Visit>
    void for_each(Visit visit) const {
      for (std::uint32_t i = 0; i < keys.size(); ++i) visit(keys.bytes(i), families[i]);
    }
  };

  Set collecting_;
  Set in_flight_;
  std::uint64_t position_ = 0;
};

template <typename Drop>
void PendingKeys::take_out(Drop drop) {
  Set kept;
  collecting_.for_each([&](std::string_view key, std::uint32_t family) {
    if (!drop(family)) kept.add(key, family);
  });
  if (!kept.keys.empty()) kept.acknowledged = collecting_.acknowledged;
  collecting_.swap(kept);
}

}  // namespace cache_invalidate::core
