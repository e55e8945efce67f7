// The end of a run, when everything is healed.
#pragma once

#include "shared.hpp"

namespace cache_invalidate::consistency {

// Ends what is still prepared, and waits for sessions that clients have left behind. Throws std::runtime_error.
void settle(const Options& options);

}  // namespace cache_invalidate::consistency
