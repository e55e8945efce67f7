// Memory that runs out where a test says so: see allocation_test.cpp, which replaces operator new.
#pragma once

#include <functional>

namespace cache_invalidate::core {

// Counts down to the allocation that fails; negative: none does.
extern thread_local long allocations_left;

// Calls `operation` with the first, then the second... allocation failing until it gets through. False: it
// failed with something other than std::bad_alloc, or never succeeded.
bool retried(const std::function<void()>& operation, const std::function<void()>& after_failure);

}  // namespace cache_invalidate::core
