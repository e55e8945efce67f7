// Watches the statements that change rows without firing row triggers, as the server executes them: TRUNCATE of any
// table that has ours, DROP of one, and the first half of DETACH PARTITION CONCURRENTLY. What event triggers can
// see is in check_ddl.cpp.
#pragma once

namespace cache_invalidate::capture {

// Once a process, from _PG_init.
void watch_ddl_changes();

}  // namespace cache_invalidate::capture
