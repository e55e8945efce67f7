// The worker of one database, and how the launcher starts it.
//
// States: it connects, looks for the extension (none: exits for good, WorkerState::absent), loads targets and
// watermark, scans the journal, and then loops: take batches, drive targets, send signals, keep progress, wait.
// It ends on SIGTERM, when cache_invalidate.worker_role changes, when the extension is gone, when a session holds its database (DROP DATABASE and its
// like), and on any error: the launcher starts it again, and the journal has whatever it had not delivered.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// Launcher: registers the worker of a database, to connect as `role` (InvalidOid: it runs as the extension's owner). False: no free
// slot for background workers.
bool start_worker(Oid database, Oid role, BackgroundWorkerHandle** handle);

// From _PG_init, while the postmaster preloads.
void register_launcher();

}  // namespace cache_invalidate::delivery
