#include "journal/ring.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace cache_invalidate::journal {

Ring* Ring::create(void* memory, std::size_t bytes) {
  Ring* ring = new (memory) Ring();
  ring->capacity_ = (bytes - sizeof(Ring)) / kUnit * kUnit;
  return ring;
}

bool Ring::push(const RingEntry& entry, std::string_view payload) noexcept {
  const std::uint64_t room = room_for(payload.size());
  // One entry may not take the ring for itself: the others would all be sent to the journal.
  if (room > capacity_ / 4) return false;
  std::uint64_t reserved = reserved_.load(std::memory_order_relaxed);
  std::uint64_t position;
  std::uint64_t next;
  do {
    position = position_of(reserved);
    const std::uint64_t begin = oldest(reserved, consumed_.load(std::memory_order_acquire));
    // What was consumed meanwhile may lie beyond a position that others have taken since: then try again.
    if (begin <= position && position + room - begin > capacity_) return false;
    const bool stays = position / capacity_ == (position + room) / capacity_;
    next = (position + room) | (stays ? reserved & kRewound : 0);
  } while (!reserved_.compare_exchange_weak(reserved, next, std::memory_order_acq_rel, std::memory_order_relaxed));

  Header* header = header_at(position);
  header->size = static_cast<std::uint32_t>(payload.size());
  header->entry = entry;
  const std::uint64_t start = (position + sizeof(Header)) % capacity_;
  const std::size_t first = std::min<std::size_t>(payload.size(), capacity_ - start);
  // Not memcpy, which wants something to point to even if there is nothing to copy.
  std::copy_n(payload.data(), first, data() + start);
  std::copy_n(payload.data() + first, payload.size() - first, data());
  header->ready.store(1, std::memory_order_release);
  return true;
}

bool Ring::front(RingEntry& entry, std::string& payload) const {
  const std::uint64_t position = consumed_.load(std::memory_order_relaxed);
  if (position == reserved()) return false;
  const Header* header = header_at(position);
  if (header->ready.load(std::memory_order_acquire) == 0) return false;
  entry = header->entry;
  const std::uint64_t start = (position + sizeof(Header)) % capacity_;
  const std::size_t first = std::min<std::size_t>(header->size, capacity_ - start);
  payload.assign(data() + start, first);
  payload.append(data(), header->size - first);
  return true;
}

void Ring::pop() noexcept {
  const std::uint64_t position = consumed_.load(std::memory_order_relaxed);
  const std::uint64_t room = room_for(header_at(position)->size);
  // A payload's bytes must not be taken for a ready header on the next lap.
  const std::uint64_t start = position % capacity_;
  const std::uint64_t first = std::min<std::uint64_t>(room, capacity_ - start);
  std::memset(data() + start, 0, first);
  std::memset(data(), 0, room - first);
  consumed_.store(position + room, std::memory_order_release);
  if ((position + room) % capacity_ >= kRewoundFrom) rewind(position + room);
}

// To the next lap, if nobody has reserved anything. Should this process be stopped before it says what it has consumed, producers
// know by the mark that there is room.
void Ring::rewind(std::uint64_t position) noexcept {
  std::uint64_t reserved = reserved_.load(std::memory_order_relaxed);
  const std::uint64_t next = (position / capacity_ + 1) * capacity_;
  if (position_of(reserved) == position && reserved_.compare_exchange_strong(reserved, next | kRewound, std::memory_order_acq_rel, std::memory_order_relaxed)) {
    consumed_.store(next, std::memory_order_release);
  }
}

}  // namespace cache_invalidate::journal
