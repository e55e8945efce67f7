// Shared memory: one slot per database that has (or starts) a worker, and what the launcher is asked.
//
// Plain data only: ids, numbers, atomics. The structure is guarded by `lock`; the atomics are not. Slots are
// few (max_worker_processes), since a database without a worker needs none.
#pragma once

#include <cstdint>

#include "pg/postgres.hpp"

namespace cache_invalidate::journal {

enum class WorkerState : std::uint32_t {
  none,      // not running
  starting,  // asked for by the launcher
  running,
  absent     // looked, and the extension is not in this database
};

struct DatabaseSlot {
  Oid database;                      // InvalidOid: free
  pg_atomic_uint32 generation;       // moves whenever ring or database of the slot change
  WorkerState state;
  int worker_pid;                    // 0: none
  int worker_proc;                   // its number, by which its latch is found; -1: none
  TimestampTz worker_started;
  std::uint32_t worker_starts;       // since the server started
  std::uint32_t holds;               // sessions that want the worker gone, DROP DATABASE and its like
  dsm_handle ring;                   // 0: none yet
  pg_atomic_uint32 active_segment;   // of the journal: 0 or 1
  pg_atomic_uint32 read_journal;     // a batch did not go through the ring: the worker must read the journal
  pg_atomic_uint32 catalog_changed;  // servers, mappings or the extension may have changed
};

struct SharedState {
  LWLock* lock;
  ConditionVariable worker_changed;  // a worker has left its slot
  int launcher_proc;                 // -1: none
  int launcher_pid;
  std::uint32_t slots;
  bool probe_all;                    // the launcher must look at every database again
  std::uint32_t probes;              // or at these
  Oid probe[16];
  DatabaseSlot slot[FLEXIBLE_ARRAY_MEMBER];
};

// From _PG_init, while the postmaster preloads.
void request_shared_memory();

// nullptr: the library was not preloaded.
SharedState* shared_state();

// The slot of a database, or nullptr. Takes no lock: the answer may be outdated; slots never move.
DatabaseSlot* find_slot(Oid database);

// Under `lock`, exclusively: the slot of the database, taking a free one if need be; nullptr: none is free.
DatabaseSlot* claim_slot(Oid database);

// Wakes the process; harmless when it is gone. Never fails.
void wake_worker(const DatabaseSlot& slot);
void wake_launcher();

// The launcher shall look whether the database needs a worker.
void request_probe(Oid database);

}  // namespace cache_invalidate::journal
