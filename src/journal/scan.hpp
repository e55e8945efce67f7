// JournalScan: reads what is in the journal, a slice of pages at a time, so that the worker can deliver
// between the slices and its memory stays bounded.
//
// It sees exactly what had committed when it began, in every slice: each slice uses a fresh snapshot for
// visibility, and the ids that had not ended at the beginning are left out by the caller (`moment`).
#pragma once

#include <cstdint>
#include <string_view>

#include "core/snapshot.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::journal {

// The server's snapshot of now, as 64-bit ids. In a transaction.
core::XidSnapshot take_snapshot();

class JournalScan {
 public:
  // Called for each row, watermarks included. Must not call the server; may throw.
  using Visitor = void (*)(void* context, int segment, std::string_view row);

  // Begins at the first page; `moment` is taken here. Passes over pages that were not written to since the WAL position
  // `since`; 0: none. In a transaction.
  void begin(const pg::Extension& extension, std::uint64_t since);
  bool active() const { return active_; }
  const core::XidSnapshot& moment() const { return moment_; }

  // Reads the next slice. In a transaction. Afterwards active() tells whether there is more.
  void step(const pg::Extension& extension, Visitor visit, void* context);
  void cancel() { active_ = false; }

 private:
  BlockNumber find_written(Relation table, BlockNumber from, BlockNumber end, bool written) const;

  core::XidSnapshot moment_;
  std::uint64_t since_ = 0;
  bool active_ = false;
  int segment_ = 0;
  BlockNumber next_ = 0;
  BlockNumber pages_[2] = {0, 0};
};

}  // namespace cache_invalidate::journal
