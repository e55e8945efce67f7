// ByteSet: an insertion-ordered set of (tag, bytes) that can be cut back to an earlier size.
//
// Both the change set of a transaction (folding in the backend) and the pending keys of a target (folding
// in the worker) are one of these. The bytes live in one arena, the index is an open-addressing table of
// entry numbers, so that adding costs no allocation in the steady state and a savepoint rollback costs
// only what it takes back. A few entries are searched one by one and not indexed: most transactions have no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cache_invalidate::core {

class ByteSet {
 public:
  struct Added {
    std::uint32_t index;
    bool inserted;
  };

  // Throws std::bad_alloc, and std::length_error when the arena would pass 4 GiB; the set is unchanged then.
  Added add(std::uint32_t tag, std::string_view bytes);

  std::uint32_t size() const { return static_cast<std::uint32_t>(entries_.size()); }
  bool empty() const { return entries_.empty(); }
  std::uint32_t tag(std::uint32_t index) const { return entries_[index].tag; }
  std::string_view bytes(std::uint32_t index) const {
    return {arena_.data() + entries_[index].offset, entries_[index].size};
  }

  // Forgets all entries from `size` on, newest first.
  void truncate(std::uint32_t size);

  // Empties the set. Keeps the memory when it is small, so that the next transaction needs no allocation.
  void clear();

  // What the set holds in memory, in bytes.
  std::size_t memory() const;

  void swap(ByteSet& other) noexcept;

 private:
  struct Entry {
    std::uint32_t offset;
    std::uint32_t size;
    std::uint32_t hash;
    std::uint32_t tag;
  };

  // With the entry's hash, so that passing by costs no look at the entry.
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t number = 0;  // the entry's index plus one; 0: empty
    bool is_empty() const { return number == 0; }
  };
  static constexpr std::size_t kKeptBytes = 256 * 1024;
  static constexpr std::size_t kMostUnindexed = 8;

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Place {
    std::uint32_t entry;  // kNone: there is none
    std::size_t slot;     // of the index, if there is one: where it stands, or belongs
  };

  bool is_indexed() const { return entries_.size() > kMostUnindexed; }
  bool is_entry(std::uint32_t index, std::uint32_t tag, std::string_view bytes) const;
  Place find(std::uint32_t hash, std::uint32_t tag, std::string_view bytes) const;
  void index_all();
  void grow();
  std::size_t slot_of(std::uint32_t index) const;

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // power of two, at most 3/4 full; all empty while there is no index
};

}  // namespace cache_invalidate::core
