// Watermark: what the worker remembers durably of its deliveries. One row of the journal; the one with the highest
// number counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/snapshot.hpp"

namespace cache_invalidate::core {

struct Watermark {
  struct Entry {
    std::uint32_t target = 0;  // 0: the messages
    XidSnapshot snapshot;      // everything visible in it has arrived
    // Messages that this target still has to be followed by, or all have, are in the journal no more: a reset
    // message stands for them.
    bool reset_due = false;
    std::string identity = {};  // of the server that it arrived at; empty: not known

    bool operator==(const Entry& other) const {
      return target == other.target && snapshot == other.snapshot && reset_due == other.reset_due && identity == other.identity;
    }
  };
  std::uint64_t sequence = 0;
  std::uint64_t system = 0;  // the cluster that wrote it: the numbers of another one's servers are not ours
  std::int64_t discarded_until = 0;  // batches taken up to this time left the journal before their replay window was over
  bool ring_only = false;  // there may be batches that are not in the journal: whoever cannot know resets the caches
  std::vector<Entry> entries;

  const Entry* find(std::uint32_t target) const;
  // Says the same, whatever the number.
  bool equals(const Watermark& other) const { return system == other.system && discarded_until == other.discarded_until && ring_only == other.ring_only && entries == other.entries; }
  std::string encode() const;
  static Result<Watermark> decode(std::string_view bytes);
};

}  // namespace cache_invalidate::core
