// Backlog: all that is owed to one target, in bounded memory. Each key and pattern knows the glob of everything that its
// template could give, its family. When more is owed than may be, the largest families are widened: their keys are
// dropped and their glob is owed instead. Nothing that was owed is ever not covered by something that is.
//
// Only what is collecting can be widened; what is in flight is being sent.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/byte_set.hpp"
#include "core/pending_keys.hpp"
#include "core/pending_patterns.hpp"

namespace cache_invalidate::core {

class Backlog {
 public:
  struct Limits {
    // Long ones count more. Beyond that they are widened to the glob of their family, at last to "*".
    std::size_t patterns = 1000;
    std::size_t families = 1000;
    std::size_t longest_family = 4096;  // "*" stands for a longer one
  };

  Backlog() : Backlog(Limits()) {}
  explicit Backlog(const Limits& limits) : limits_(limits) { families_.add(0, "*"); }

  // `family`: a glob that matches whatever the key or pattern does; empty: "*". `position` as in PendingKeys. `sweeps`: patterns are
  // being seen to, so one that is owed already stands for the keys that it covers.
  void add_key(std::string_view key, std::string_view family, std::uint64_t position, bool sweeps = true);
  void add_pattern(std::string_view glob, std::string_view family, std::uint64_t position);
  void note_position(std::uint64_t position);

  // If more than `most` keys are owed, long ones counting more: widens what was collected until at most three quarters
  // of that are left.
  void keep_within(std::size_t most);
  // Widens until at most so many keys are owed, the set in flight included.
  void widen_to(std::size_t most);
  // How many families were widened in all.
  std::uint64_t widened() const { return widened_; }

  // The keys: to depart, to arrive and to be read.
  PendingKeys& keys() { return keys_; }
  const PendingKeys& keys() const { return keys_; }
  // The patterns, likewise.
  PendingPatterns& patterns() { return patterns_; }
  const PendingPatterns& patterns() const { return patterns_; }

  std::size_t collecting() const { return keys_.collecting() + patterns_.collecting(); }
  std::size_t size() const { return collecting() + keys_.in_flight() + patterns_.in_flight(); }
  void put_back();

  // visit(is_pattern, bytes, family's glob) of all that is owed; something may come twice.
  template <typename Visit>
  void for_each(Visit visit) const {
    const auto key = [&](std::string_view bytes, std::uint32_t family) { visit(false, bytes, families_.bytes(family)); };
    const auto pattern = [&](std::string_view glob, std::uint32_t family) { visit(true, glob, families_.bytes(family)); };
    keys_.for_each_in_flight(key);
    keys_.for_each_collected(key);
    patterns_.for_each_in_flight(pattern);
    patterns_.for_each_collected(pattern);
  }

  // visit(glob) of the families of the keys in flight; one may come again.
  template <typename Visit>
  void for_each_family_in_flight(Visit visit) const {
    keys_.for_each_in_flight([&](std::string_view, std::uint32_t family) { visit(families_.bytes(family)); });
  }

  // Everything up to this position has been acknowledged.
  std::uint64_t acknowledged() const { return std::min(keys_.acknowledged(), patterns_.acknowledged()); }

 private:
  static constexpr std::uint32_t kAll = 0;  // the family "*"

  struct Cover {
    bool known = false;
    bool is_covered = false;
    std::uint64_t generation = 0;
  };

  std::uint32_t family_of(std::string_view glob);
  bool is_covered(std::uint32_t family);
  void tidy_families();
  void widen(const std::vector<std::uint32_t>& families);
  void widen_patterns();
  void widen_to_all();

  Limits limits_;
  PendingKeys keys_;
  PendingPatterns patterns_;
  ByteSet families_;           // their globs
  std::vector<Cover> covers_;  // whether the glob of each is collected, as of a generation of the patterns
  std::uint32_t last_family_ = kAll;
  std::uint64_t position_ = 0;
  std::uint64_t widened_ = 0;
};

}  // namespace cache_invalidate::core
