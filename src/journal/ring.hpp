// Ring: carries batches from committing backends to the worker through shared memory.
//
// Many producers, one consumer, no lock. A producer reserves its place by compare-and-swap, copies, and then
// marks the entry ready; the consumer takes entries in the order of reservation. When there is no room the
// producer is told so and the consumer reads the journal instead: the ring may lose anything without harm.
// While the consumer keeps up, the ring is rewound to its beginning as soon as it is empty: what is used of it then stays in
// the processors' caches, and a new producer has few pages to touch for the first time.
// Producers run after their commit is visible and before their row locks are released, so that entries of
// one row stand in commit order.
//
// Nothing here allocates, waits or fails, and nothing knows the server: the memory may be shared or not.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cache_invalidate::journal {

struct RingEntry {
  std::uint64_t xid = 0;
  std::int64_t commit_time = 0;  // microseconds, of the handing-over process's clock
  std::uint32_t segment = 0;     // where the journal has it
  std::uint32_t kind = 0;        // the caller's
};

class Ring {
 public:
  // It is rewound when it is empty so many bytes behind its beginning.
  static constexpr std::uint64_t kRewoundFrom = 64 * 1024;

  // Lays a ring out in zeroed memory of `bytes` bytes, aligned to 64.
  static Ring* create(void* memory, std::size_t bytes);

  // False: no room. Safe from any number of processes at once.
  bool push(const RingEntry& entry, std::string_view payload) noexcept;

  // The oldest entry, if it is ready; its payload replaces `payload`. Only for the one consumer.
  bool front(RingEntry& entry, std::string& payload) const;
  void pop() noexcept;

  // Whether it would take this payload now and stay half empty, so that it still does when others push meanwhile.
  bool has_ample_room_for(std::size_t payload) const {
    const std::uint64_t room = room_for(payload);
    return room <= capacity_ / 4 && used() + room <= capacity_ / 2;
  }

  // Bytes in use, and how many there are.
  std::uint64_t used() const {
    // In this order, or the difference of two moments could be negative.
    const std::uint64_t behind = consumed();
    const std::uint64_t reserved = reserved_.load(std::memory_order_acquire);
    return position_of(reserved) - oldest(reserved, behind);
  }
  std::uint64_t capacity() const { return capacity_; }
  // Position behind the last reserved entry, and behind the last consumed one.
  std::uint64_t reserved() const { return position_of(reserved_.load(std::memory_order_acquire)); }
  std::uint64_t consumed() const { return consumed_.load(std::memory_order_acquire); }

 private:
  struct alignas(8) Header {
    std::atomic<std::uint32_t> ready;
    std::uint32_t size;
    RingEntry entry;
  };
  static constexpr std::uint64_t kUnit = 64;  // entries begin at multiples: a header never wraps

  // In `reserved_`, beside the position: nothing lies before the lap that the position is in, even if the consumer has not come to
  // say so. Until the end of that lap.
  static constexpr std::uint64_t kRewound = 1;

  static std::uint64_t position_of(std::uint64_t reserved) { return reserved & ~kRewound; }
  // Where what is not consumed begins.
  std::uint64_t oldest(std::uint64_t reserved, std::uint64_t consumed) const {
    const std::uint64_t position = position_of(reserved);
    return (reserved & kRewound) == 0 ? consumed : std::max(consumed, position - position % capacity_);
  }
  void rewind(std::uint64_t position) noexcept;

  static std::uint64_t room_for(std::size_t payload) { return (sizeof(Header) + payload + kUnit - 1) / kUnit * kUnit; }
  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  Header* header_at(std::uint64_t position) { return reinterpret_cast<Header*>(data() + position % capacity_); }
  const Header* header_at(std::uint64_t position) const {
    return reinterpret_cast<const Header*>(data() + position % capacity_);
  }

  std::uint64_t capacity_ = 0;
  alignas(64) std::atomic<std::uint64_t> reserved_{0};
  alignas(64) std::atomic<std::uint64_t> consumed_{0};
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "the ring lives in shared memory");

}  // namespace cache_invalidate::journal
