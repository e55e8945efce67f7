#include "core/byte_set.hpp"

#include <cstring>
#include <limits>
#include <stdexcept>

namespace cache_invalidate::core {
namespace {

constexpr std::size_t kFirstSlots = 64;

// A multiplicative hash over eight bytes at a time: keys are short, so the set-up cost of stronger ones
// would dominate. A flood of chosen collisions costs its own transaction only.
std::uint32_t hash_of(std::uint32_t tag, std::string_view bytes) {
  constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15ULL;
  std::uint64_t hash = (static_cast<std::uint64_t>(tag) + 1) * kPrime ^ bytes.size();
  const char* next = bytes.data();
  std::size_t left = bytes.size();
  while (left >= 8) {
    std::uint64_t word;
    std::memcpy(&word, next, 8);
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 32;
    next += 8;
    left -= 8;
  }
  std::uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, next, left);
  hash = (hash ^ tail) * kPrime;
  // Once more, so that the last bytes of the tail, a number's last digits, reach the low bits of the result.
  hash = (hash ^ hash >> 32) * kPrime;
  return static_cast<std::uint32_t>(hash >> 32);
}

}  // namespace

bool ByteSet::is_entry(std::uint32_t index, std::uint32_t tag, std::string_view bytes) const {
  return entries_[index].tag == tag && this->bytes(index) == bytes;
}

ByteSet::Place ByteSet::find(std::uint32_t hash, std::uint32_t tag, std::string_view bytes) const {
  if (!is_indexed()) {
    for (std::uint32_t index = 0; index < entries_.size(); ++index) {
      if (entries_[index].hash == hash && is_entry(index, tag, bytes)) return {index, 0};
    }
    return {kNone, 0};
  }
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; !slots_[slot].is_empty(); slot = (slot + 1) & mask) {
    const std::uint32_t index = slots_[slot].number - 1;
    if (slots_[slot].hash == hash && is_entry(index, tag, bytes)) return {index, slot};
  }
  return {kNone, slot};
}

ByteSet::Added ByteSet::add(std::uint32_t tag, std::string_view bytes) {
  if (entries_.size() >= kMostUnindexed && (entries_.size() + 1) * 4 > slots_.size() * 3) grow();
  const std::uint32_t hash = hash_of(tag, bytes);
  const Place place = find(hash, tag, bytes);
  if (place.entry != kNone) return {place.entry, false};
  if (arena_.size() + bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error("byte set arena is full");
  }
  const bool was_indexed = is_indexed();
  const auto offset = static_cast<std::uint32_t>(arena_.size());
  const auto index = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({offset, static_cast<std::uint32_t>(bytes.size()), hash, tag});
  try {
    arena_.append(bytes);
  } catch (...) {
    entries_.pop_back();
    throw;
  }
  if (was_indexed) {
    slots_[place.slot] = {hash, index + 1};
  } else if (is_indexed()) {
    index_all();
  }
  return {index, true};
}

// In insertion order: truncate() relies on newer entries never standing before older ones of a probe run.
void ByteSet::index_all() {
  const std::size_t mask = slots_.size() - 1;
  for (std::uint32_t index = 0; index < entries_.size(); ++index) {
    const std::uint32_t hash = entries_[index].hash;
    std::size_t slot = hash & mask;
    while (!slots_[slot].is_empty()) slot = (slot + 1) & mask;
    slots_[slot] = {hash, index + 1};
  }
}

void ByteSet::grow() {
  std::vector<Slot> slots(slots_.empty() ? kFirstSlots : slots_.size() * 2);
  slots_.swap(slots);
  if (is_indexed()) index_all();
}

std::size_t ByteSet::slot_of(std::uint32_t index) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = entries_[index].hash & mask;
  while (slots_[slot].number != index + 1) slot = (slot + 1) & mask;
  return slot;
}

void ByteSet::truncate(std::uint32_t size) {
  if (size >= entries_.size()) return;
  if (is_indexed()) {
    const std::uint32_t kept = size > kMostUnindexed ? size : 0;
    // Emptying a slot is safe: whatever probed past it is newer and has been removed already.
    for (std::uint32_t index = this->size(); index-- > kept;) slots_[slot_of(index)] = {};
  }
  arena_.resize(entries_[size].offset);
  entries_.resize(size);
}

void ByteSet::clear() {
  const std::size_t held =
      arena_.capacity() + entries_.capacity() * sizeof(Entry) + slots_.capacity() * sizeof(Slot);
  if (held > kKeptBytes) {
    ByteSet().swap(*this);
    return;
  }
  truncate(0);
}

std::size_t ByteSet::memory() const {
  return arena_.size() + entries_.size() * sizeof(Entry) + slots_.size() * sizeof(Slot);
}

void ByteSet::swap(ByteSet& other) noexcept {
  arena_.swap(other.arena_);
  entries_.swap(other.entries_);
  slots_.swap(other.slots_);
}

}  // namespace cache_invalidate::core
