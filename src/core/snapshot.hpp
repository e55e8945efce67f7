// XidSnapshot: which transactions had ended at a moment, as 64-bit ids.
//
// It is how delivery remembers what is done: everything in the journal that is visible in the snapshot has
// been delivered. It is independent of the order in which transactions took their ids.
#pragma once

#include <cstdint>
#include <vector>

namespace cache_invalidate::core {

struct XidSnapshot {
  std::uint64_t xmin = 0;                 // everything below has ended
  std::uint64_t xmax = 0;                 // everything from here on had not begun
  std::vector<std::uint64_t> in_progress; // ascending, between the two
  // Whatever was written before this position of the WAL belongs to a transaction that had ended; 0: not known. No part of
  // what it is: a scan of the journal may pass over what is older.
  std::uint64_t written_before = 0;

  // Had the transaction ended when the snapshot was taken? The empty snapshot contains nothing.
  bool contains(std::uint64_t xid) const;
  // Does the other one contain all that this one does? Of two moments the earlier is within the later.
  bool is_within(const XidSnapshot& other) const;
  bool operator==(const XidSnapshot& other) const {
    return xmin == other.xmin && xmax == other.xmax && in_progress == other.in_progress;
  }
};

}  // namespace cache_invalidate::core
