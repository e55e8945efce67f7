// When the worker tries its own transactions again.
#pragma once

#include <algorithm>

#include "core/backoff.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// Whoever holds a lock needs time: the first retry waits too.
inline TimestampTz retry_time(core::Backoff& backoff, TimestampTz now) {
  constexpr std::int64_t kLeast = 1000;  // milliseconds
  return now + std::max(backoff.next(static_cast<std::uint32_t>(now)), kLeast) * 1000;
}

}  // namespace cache_invalidate::delivery
