// A reset: what to do when it cannot be told what is stale. All that the triggers of the database could ever name is
// deleted, and a message says so on each channel that they send messages on.
#pragma once

namespace cache_invalidate::capture {

enum class Reset { everything, messages };

// Notes it, or its messages alone, in the transaction, whatever cache_invalidate.enabled says; it leaves when that commits.
// It reads the catalogs only, and locks no table. The transaction's batch is journalled, whatever
// cache_invalidate.durability says. `reason`: UTF-8. May raise an error.
void note_reset(const char* reason, Reset what = Reset::everything);

}  // namespace cache_invalidate::capture
