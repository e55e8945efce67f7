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
  absent,    // looked, and the extension is not in this database
  held       // left because a session asked for it
};

// Why the launcher could not start the worker when it last tried.
enum class Obstacle : std::uint32_t {
  none,
  no_process,       // max_worker_processes is exhausted
  no_role,          // there is no role of the name in cache_invalidate.worker_role
  may_not_log_in,   // that role lacks LOGIN
  may_not_connect   // that role lacks CONNECT on the database
};

struct DatabaseSlot {
  Oid database;                      // InvalidOid: free
  pg_atomic_uint32 generation;       // moves whenever ring or database of the slot change
  WorkerState state;
  int worker_pid;                    // 0: none
  int worker_proc;                   // its number, by which its latch is found; -1: none
  TimestampTz worker_started;
  std::uint32_t worker_starts;       // since the server started
  Obstacle obstacle;                 // none again once a worker runs
  TimestampTz obstacle_since;        // 0: there is none
  std::uint32_t holds;               // sessions that want the worker gone, DROP DATABASE and its like
  dsm_handle ring;                   // 0: none yet
  pg_atomic_uint32 active_segment;   // of the journal: 0 or 1
  pg_atomic_uint32 read_journal;     // a batch did not go through the ring: the worker must read the journal
  pg_atomic_uint32 catalog_changed;  // servers, mappings or the extension may have changed
  // Batches that are in the ring only. A writer looks at `volatile_allowed` after it has announced itself: so when the
  // worker has taken it back, and waited for who was announced then, no such batch is on its way.
  pg_atomic_uint32 volatile_wanted;   // by a writer
  pg_atomic_uint32 volatile_allowed;  // by the worker: it is written durably that such a batch may be lost
  pg_atomic_uint32 volatile_lost;     // one could not be handed over: only a reset can make up for it
  pg_atomic_uint32 journal_full;      // by the worker: writers shall do without the journal if they can
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

// Transactions on their way from the journal to the hand-over: a backend announces its own with the first row it
// writes and withdraws it when it has handed over, or aborted. So whoever finds a transaction that has
// committed and is not announced knows that it has handed over, if it ever wrote. Neither call can fail.
void announce_transaction(std::uint64_t xid) noexcept;
void withdraw_transaction() noexcept;

// Worker: calls `visit` for each announced transaction of its database. Who commits elsewhere hands over to another worker.
struct Announced {
  std::uint32_t place;
  std::uint64_t xid;
  std::uint64_t written_from;  // its journal rows lie behind this position of the WAL
};
template <typename Visit>
void for_each_announced(Visit visit);
bool is_still_announced(const Announced& transaction);

// Channels of NOTIFY that processes may listen on, as bits: see delivery/listeners.hpp. A process adds to its own, and
// withdraws them all when it ends. Neither call can fail.
void announce_channels(Oid database, std::uint32_t channels) noexcept;
void withdraw_channels() noexcept;
// Worker: all that are announced in the database, and how often anything of them has changed: read before them.
std::uint32_t announced_channels(Oid database);
std::uint64_t channel_changes();

// nullptr: the library was not preloaded.
SharedState* shared_state();

// The slot of a database, or nullptr. Takes no lock: the answer may be outdated; slots never move.
DatabaseSlot* find_slot(Oid database);

// Under `lock`, exclusively: the slot of the database, taking a free one if need be; nullptr: none is free.
DatabaseSlot* claim_slot(Oid database);

// Under `lock`, exclusively.
void note_obstacle(DatabaseSlot& slot, Obstacle obstacle);

// Wakes the process; harmless when it is gone. Never fails.
void wake_worker(const DatabaseSlot& slot);
void wake_launcher();

// The launcher shall look whether the database needs a worker.
void request_probe(Oid database);

// Apart from its neighbours', or each transaction of one process would take the line from another's cache.
struct alignas(64) AnnouncedWriter {
  pg_atomic_uint64 xid;           // 0: none
  pg_atomic_uint64 written_from;  // of a transaction that was there, or a later one's
  pg_atomic_uint32 database;      // likewise
  pg_atomic_uint64 channels;      // the database's number, and 32 bits
};
struct AnnouncedArray {
  std::uint32_t size;
  pg_atomic_uint64 channel_changes;
  AnnouncedWriter writer[FLEXIBLE_ARRAY_MEMBER];  // by process number
};
AnnouncedArray* announced_transactions();

template <typename Visit>
void for_each_announced(Visit visit) {
  AnnouncedArray* all = announced_transactions();
  for (std::uint32_t i = 0; all != nullptr && i < all->size; ++i) {
    const std::uint64_t xid = pg_atomic_read_u64(&all->writer[i].xid);
    if (xid == 0) continue;
    pg_read_barrier();
    if (pg_atomic_read_u32(&all->writer[i].database) != MyDatabaseId) continue;
    visit(Announced{i, xid, pg_atomic_read_u64(&all->writer[i].written_from)});
  }
}

}  // namespace cache_invalidate::journal
