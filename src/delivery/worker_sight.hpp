// What the worker is doing, for whoever looks at pg_stat_activity or the process title.
#pragma once

#include "delivery/dispatcher.hpp"
#include "delivery/pauses.hpp"
#include "delivery/presence.hpp"

namespace cache_invalidate::delivery {

void show_work(Presence& presence, Dispatcher& dispatcher, const Pauses& pauses, bool is_scanning, TimestampTz now);

}  // namespace cache_invalidate::delivery
