// The tables that are written and read, the functions that change them, and the triggers under test.
#pragma once

#include <string>

#include "shared.hpp"

namespace cache_invalidate::consistency {

inline constexpr const char* kChannel = "consistency";  // of NOTIFY and PUBLISH

// Makes all of it in a database that has the extension and the servers. Throws std::runtime_error.
void prepare(const Options& options);

}  // namespace cache_invalidate::consistency
