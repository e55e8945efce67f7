// The end of a run, when everything is healed.
#pragma once

#include <cstdint>
#include <string>

#include "shared.hpp"

namespace cache_invalidate::consistency {

// Ends what is still prepared, and waits for sessions that clients have left behind. Throws
// std::runtime_error.
void settle(const Options& options);

// A change after all others; returns its version, or kNever if the database is away.
std::int64_t change_last(const Options& options, const std::string& database);

}  // namespace cache_invalidate::consistency
