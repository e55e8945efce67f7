// XidSnapshot: which transactions had ended at a moment, as 64-bit ids.
//
// It is how delivery remembers what is done: everything in the journal that is visible in the snapshot has
// been delivered. It is independent of the order in which transactions took their ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace cache_invalidate::core {

struct XidSnapshot {
  std::uint64_t xmin = 0;                 // everything below has ended
  std::uint64_t xmax = 0;                 // everything from here on had not begun
  std::vector<std::uint64_t> in_progress; // ascending, between the two

  // Had the transaction ended when the snapshot was taken? The empty snapshot contains nothing.
  bool contains(std::uint64_t xid) const;
  bool operator==(const XidSnapshot& other) const {
    return xmin == other.xmin && xmax == other.xmax && in_progress == other.in_progress;
  }
};

// A watermark: for each target (0: NOTIFY) the snapshot up to which it has everything.
struct Watermark {
  struct Entry {
    std::uint32_t target;
    XidSnapshot snapshot;
  };
  std::uint64_t sequence = 0;  // the highest one in the journal counts
  std::vector<Entry> entries;

  const XidSnapshot* find(std::uint32_t target) const;
  std::string encode() const;
  static Result<Watermark> decode(std::string_view bytes);
};

}  // namespace cache_invalidate::core
