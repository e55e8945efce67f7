// Between the server's clock (microseconds since 2000) and everybody else's (since 1970).
#pragma once

#include <cstdint>

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

inline constexpr std::int64_t kEpochShift =
    static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000000;

inline std::int64_t unix_microseconds(TimestampTz time) { return time + kEpochShift; }
inline TimestampTz server_time(std::int64_t microseconds) { return microseconds - kEpochShift; }

}  // namespace cache_invalidate::pg
