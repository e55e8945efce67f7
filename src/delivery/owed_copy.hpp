// The copy forward: what is owed to targets, written to the journal as batches for each of them alone, so that the rows
// that it came from are needed no more.
#pragma once

#include <cstdint>

#include "delivery/dispatcher.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::delivery {

// In a transaction. Keys are widened until the copy takes about `most_bytes` at most. Returns the segment that it was
// written to, which should be `segment` unless somebody has locked that.
int write_owed_copy(const pg::Extension& extension, Dispatcher& dispatcher, int segment, std::uint64_t most_bytes);

}  // namespace cache_invalidate::delivery
