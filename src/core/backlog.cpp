#include "core/backlog.hpp"

#include <algorithm>

namespace cache_invalidate::core {
namespace {

// Of `weights` the heaviest, until `excess` is covered; those that weigh nothing never.
std::vector<std::uint32_t> heaviest(const std::vector<std::size_t>& weights, std::size_t excess) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  });
  std::size_t covered = 0, count = 0;
  while (count < order.size() && covered < excess) covered += weights[order[count++]];
  order.resize(count);
  return order;
}

}  // namespace

// Forgets the families of which nothing is owed. If there are still too many, all becomes one.
void Backlog::tidy_families() {
  std::vector<bool> used(families_.size());
  const auto use = [&](std::string_view, std::uint32_t family) { used[family] = true; };
  const auto look = [&] {
    used.assign(used.size(), false);
    keys_.for_each_in_flight(use);
    keys_.for_each_collected(use);
    patterns_.for_each_in_flight(use);
    patterns_.for_each_collected(use);
  };
  look();
  if (static_cast<std::size_t>(std::count(used.begin(), used.end(), true)) > limits_.families / 4 * 3) {
    widen_to_all();
    used.assign(used.size(), false);
  }
  ByteSet kept;
  kept.add(0, families_.bytes(kAll));
  std::vector<std::uint32_t> numbers(families_.size(), kAll);
  for (std::uint32_t i = 0; i < families_.size(); ++i) {
    if (used[i]) numbers[i] = kept.add(0, families_.bytes(i)).index;
  }
  families_.swap(kept);
  covers_.clear();
  last_family_ = kAll;
  keys_.renumber(numbers);
  patterns_.renumber(numbers);
}

std::uint32_t Backlog::family_of(std::string_view glob) {
  if (families_.bytes(last_family_) == glob) return last_family_;
  if (glob.empty() || glob.size() > limits_.longest_family) return kAll;
  ByteSet::Added added = families_.add(0, glob);
  if (added.inserted && families_.size() > limits_.families) {
    families_.truncate(added.index);
    tidy_families();
    added = families_.add(0, glob);
  }
  return last_family_ = added.index;
}

// Whether all of the family will be swept, by a pass that has not begun.
bool Backlog::is_covered(std::uint32_t family) {
  if (patterns_.collecting() == 0) return false;
  if (covers_.size() < families_.size()) covers_.resize(families_.size());
  Cover& cover = covers_[family];
  if (!cover.known || cover.generation != patterns_.generation()) {
    cover = {true, patterns_.collects(families_.bytes(family)) || patterns_.collects("*"), patterns_.generation()};
  }
  return cover.is_covered;
}

void Backlog::add_key(std::string_view key, std::string_view family, std::uint64_t position, bool sweeps) {
  position_ = std::max(position_, position);
  const std::uint32_t number = family_of(family);
  if (!sweeps || !is_covered(number)) keys_.add(key, position, number);
}

void Backlog::add_pattern(std::string_view glob, std::string_view family, std::uint64_t position) {
  position_ = std::max(position_, position);
  const std::uint32_t number = family_of(family);
  if (is_covered(number)) return;
  patterns_.add(glob, number, position);
  if (patterns_.weight() > limits_.patterns) widen_patterns();
}

void Backlog::note_position(std::uint64_t position) {
  position_ = std::max(position_, position);
  keys_.note_position(position);
  patterns_.note_position(position);
}

void Backlog::keep_within(std::size_t most) {
  if (keys_.weight() > most) widen_to(most / 4 * 3);
}

void Backlog::widen_to(std::size_t most) {
  if (keys_.weight() <= most || keys_.collecting() == 0) return;
  std::vector<std::size_t> weights(families_.size());
  keys_.for_each_collected([&](std::string_view key, std::uint32_t family) { weights[family] += PendingKeys::weight_of(key); });
  widen(heaviest(weights, keys_.weight() - most));
  if (patterns_.weight() > limits_.patterns) widen_patterns();
}

// The globs are owed before anything is dropped, so that nothing is lost should memory run out, and for as long as the
// oldest of that.
void Backlog::widen(const std::vector<std::uint32_t>& families) {
  if (families.empty()) return;
  std::vector<bool> chosen(families_.size());
  for (const std::uint32_t family : families) chosen[family] = true;
  const std::uint64_t acknowledged = std::min(keys_.acknowledged_before_collected(), patterns_.acknowledged());
  for (const std::uint32_t family : families) patterns_.add(families_.bytes(family), family, position_, acknowledged);
  keys_.take_out([&](std::uint32_t family) { return chosen[family]; });
  patterns_.take_out([&](std::string_view glob, std::uint32_t family) { return chosen[family] && glob != families_.bytes(family); });
  widened_ += families.size();
}

void Backlog::widen_patterns() {
  std::vector<std::size_t> gains(families_.size());
  patterns_.for_each_collected([&](std::string_view glob, std::uint32_t family) {
    if (glob != families_.bytes(family)) gains[family] += PendingPatterns::weight_of(glob);
  });
  for (std::uint32_t i = 0; i < gains.size(); ++i) {
    // The glob takes room as well.
    gains[i] -= std::min(gains[i], patterns_.collects(families_.bytes(i)) ? 0 : PendingPatterns::weight_of(families_.bytes(i)));
  }
  widen(heaviest(gains, patterns_.weight() - limits_.patterns / 4 * 3));
  if (patterns_.weight() > limits_.patterns) widen_to_all();
}

void Backlog::widen_to_all() {
  patterns_.add("*", kAll, position_, std::min(keys_.acknowledged_before_collected(), patterns_.acknowledged()));
  keys_.forget_collected();
  patterns_.take_out([](std::string_view glob, std::uint32_t) { return glob != "*"; });
  ++widened_;
}

void Backlog::put_back() {
  keys_.put_back();
  patterns_.put_back();
  if (patterns_.weight() > limits_.patterns) widen_patterns();
}

}  // namespace cache_invalidate::core
