// The launcher: one process on the shared catalogs that keeps a worker running in every database that has the
// extension. It compares what should be with what is, whenever it is woken and every few seconds; no
// single wake-up matters. Whether a database has the extension can be seen only inside, so a worker looks and,
// if there is none, leaves; the launcher remembers that until CREATE EXTENSION asks it to look again.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/backoff.hpp"
#include "delivery/presence.hpp"
#include "delivery/worker.hpp"
#include "delivery/worker_role.hpp"
#include "journal/shared.hpp"
#include "pg/background.hpp"
#include "pg/crash_point.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kSecond = 1000000;
constexpr TimestampTz kLevelCheck = 10 * kSecond;
constexpr TimestampTz kHealthy = 60 * kSecond;
constexpr TimestampTz kStartTimeout = 30 * kSecond;
constexpr TimestampTz kComplainAfter = 60 * kSecond;

struct Known {
  bool absent = false;              // looked: the extension is not there
  bool asked = false;               // to look again, since the last start
  bool listed = false;              // in pg_database, this round
  bool is_template = false;         // others copy it: a worker would be in their way
  bool dismissed = false;           // we hold its worker off
  core::Backoff backoff;
  TimestampTz next_start = 0;
  TimestampTz started = 0;
  BackgroundWorkerHandle* handle = nullptr;
};

std::unordered_map<Oid, Known>* databases = nullptr;
TimestampTz next_complaint = 0;

// In palloc'd memory of the transaction.
struct Listing {
  List* usable = NIL;     // databases that may have a worker
  List* templates = NIL;
};

Listing read_databases() {
  Listing result;
  Relation catalog = table_open(DatabaseRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
    if (row->datistemplate) {
      result.templates = lappend_oid(result.templates, row->oid);
    } else if (row->datallowconn && row->datconnlimit != -2) {
      // A connection limit of -2 marks a database whose removal was interrupted.
      result.usable = lappend_oid(result.usable, row->oid);
    }
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return result;
}

void refresh_list() {
  StartTransactionCommand();
  for (auto& [oid, known] : *databases) known.listed = known.is_template = false;
  const Listing found = read_databases();
  ListCell* cell;
  foreach (cell, found.usable) (*databases)[lfirst_oid(cell)].listed = true;
  foreach (cell, found.templates) (*databases)[lfirst_oid(cell)].is_template = true;
  CommitTransactionCommand();
}

// Takes what others asked for since the last round.
void take_requests() {
  journal::SharedState* shared = journal::shared_state();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  for (auto& [oid, known] : *databases) {
    const Oid* end = shared->probe + shared->probes;
    if (shared->probe_all || std::find(static_cast<const Oid*>(shared->probe), end, oid) != end) {
      known.absent = false;
      known.asked = true;
      known.next_start = 0;
    }
  }
  shared->probes = 0;
  shared->probe_all = false;
  LWLockRelease(shared->lock);
}

void free_slot(journal::DatabaseSlot& slot) {
  const dsm_handle ring = slot.ring;
  slot.ring = 0;
  slot.database = InvalidOid;
  slot.state = journal::WorkerState::none;
  journal::note_obstacle(slot, journal::Obstacle::none);
  pg_atomic_fetch_add_u32(&slot.generation, 1);
  if (ring != 0) dsm_unpin_segment(ring);
}

// The worker of the slot is not running: why, and what follows from it. Under the lock.
void settle(journal::DatabaseSlot& slot, Known& known, TimestampTz now) {
  const bool starting = slot.state == journal::WorkerState::starting;
  if (starting) {
    pid_t pid;
    const bool pending = known.handle != nullptr ? GetBackgroundWorkerPid(known.handle, &pid) != BGWH_STOPPED
                                                 : now < known.started + kStartTimeout;
    if (pending) return;
    slot.state = journal::WorkerState::none;
  }
  if (known.handle != nullptr) {
    pfree(known.handle);
    known.handle = nullptr;
    if (slot.state != journal::WorkerState::absent) {
      // Ended by request, or after a healthy while: no reason to hesitate.
      if (known.asked || slot.state == journal::WorkerState::held || now >= known.started + kHealthy) known.backoff.reset();
      known.next_start = known.asked ? now : now + known.backoff.next(static_cast<std::uint32_t>(now)) * 1000;
    }
  }
  if (slot.state == journal::WorkerState::held) slot.state = journal::WorkerState::none;
  if (slot.state == journal::WorkerState::absent) {
    known.absent = !known.asked;  // what was asked for meanwhile it may have missed
    slot.state = journal::WorkerState::none;
  }
  if (slot.holds == 0 && (known.absent || !known.listed)) free_slot(slot);
}

// Sends the worker of a template away, by a hold that ends when it has left. Under the lock.
void dismiss(journal::DatabaseSlot& slot, Known& known) {
  if (known.dismissed && slot.worker_pid == 0) {
    --slot.holds;
    known.dismissed = false;
  } else if (known.is_template && !known.dismissed && slot.worker_pid != 0) {
    ++slot.holds;
    known.dismissed = true;
    journal::wake_worker(slot);
  }
}

void settle_slots(TimestampTz now) {
  journal::SharedState* shared = journal::shared_state();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  for (std::uint32_t i = 0; i < shared->slots; ++i) {
    journal::DatabaseSlot& slot = shared->slot[i];
    if (!OidIsValid(slot.database)) continue;
    Known& known = (*databases)[slot.database];
    dismiss(slot, known);
    if (slot.worker_pid == 0) settle(slot, known, now);
  }
  LWLockRelease(shared->lock);
}

// True: a worker may be started now. Under no lock.
bool claim_for_start(Oid database) {
  journal::SharedState* shared = journal::shared_state();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  journal::DatabaseSlot* slot = journal::claim_slot(database);
  const bool ready = slot != nullptr && slot->state == journal::WorkerState::none && slot->worker_pid == 0 && slot->holds == 0;
  if (ready) {
    slot->state = journal::WorkerState::starting;
    ++slot->worker_starts;
  }
  LWLockRelease(shared->lock);
  return ready;
}

void give_up_start(Oid database, TimestampTz now) {
  journal::SharedState* shared = journal::shared_state();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  journal::DatabaseSlot* slot = journal::find_slot(database);
  if (slot != nullptr && slot->state == journal::WorkerState::starting) slot->state = journal::WorkerState::none;
  if (slot != nullptr) journal::note_obstacle(*slot, journal::Obstacle::no_process);
  LWLockRelease(shared->lock);
  if (now < next_complaint) return;
  next_complaint = now + kComplainAfter;
  ereport(LOG, (errmsg("cache_invalidate: no free slot to start the worker of database %u", database),
                errhint("Raise max_worker_processes.")));
}

// False: the role is not fit for it. That is asked again at the next look, which costs little.
bool find_role(Oid database, Known& known, Oid& role, TimestampTz now) {
  const WorkerRole found = find_worker_role(database);
  role = found.oid;
  if (found.obstacle == journal::Obstacle::none) return true;
  journal::SharedState* shared = journal::shared_state();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  // More databases than slots: the others can do without.
  journal::DatabaseSlot* slot = journal::claim_slot(database);
  if (slot != nullptr) journal::note_obstacle(*slot, found.obstacle);
  LWLockRelease(shared->lock);
  known.next_start = now + kLevelCheck;
  return false;
}

void start_missing(TimestampTz now) {
  for (auto& [oid, known] : *databases) {
    if (!known.listed || known.absent || known.handle != nullptr || now < known.next_start) continue;
    Oid role;
    if (!find_role(oid, known, role, now) || !claim_for_start(oid)) continue;
    MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
    CACHE_INVALIDATE_CRASH_POINT("launcher.start", fails);
    const bool started = start_worker(oid, role, &known.handle);
    CACHE_INVALIDATE_CRASH_POINT("launcher.started", fails);
    MemoryContextSwitchTo(previous);
    if (started) {
      known.started = now;
      known.asked = false;
    } else {
      known.handle = nullptr;
      known.next_start = now + kSecond;
      give_up_start(oid, now);
    }
  }
}

void forget_times() {
  next_complaint = 0;
  for (auto& [oid, known] : *databases) known.next_start = 0;
}

TimestampTz next_round(TimestampTz now) {
  TimestampTz next = now + kLevelCheck;
  for (const auto& [oid, known] : *databases) {
    if (known.listed && !known.absent && known.handle == nullptr && known.next_start > now) {
      next = std::min(next, known.next_start);
    }
  }
  return next;
}

void forget_unlisted() {
  for (auto it = databases->begin(); it != databases->end();) {
    const bool gone = !it->second.listed && it->second.handle == nullptr && journal::find_slot(it->first) == nullptr;
    it = gone ? databases->erase(it) : std::next(it);
  }
}

// The databases with a worker, and those that could have one but for the obstacle in their slot.
void show() {
  static int shown_workers = -1;
  static int shown_obstacles = -1;
  const journal::SharedState* shared = journal::shared_state();
  int workers = 0;
  int obstacles = 0;
  for (std::uint32_t i = 0; i < shared->slots; ++i) {
    const journal::DatabaseSlot& slot = shared->slot[i];
    if (!OidIsValid(slot.database)) continue;
    if (slot.obstacle != journal::Obstacle::none) ++obstacles;
    if (slot.worker_pid != 0) ++workers;
  }
  if (workers == shown_workers && obstacles == shown_obstacles) return;
  shown_workers = workers;
  shown_obstacles = obstacles;
  std::string text = "watching " + std::to_string(workers) + (workers == 1 ? " worker" : " workers");
  if (obstacles > 0) text += ", " + std::to_string(obstacles) + " cannot be started";
  show_presence(false, text);
}

void forget_launcher(int /*code*/, Datum /*argument*/) {
  LWLockAcquire(journal::shared_state()->lock, LW_EXCLUSIVE);
  for (const auto& [oid, known] : *databases) {
    journal::DatabaseSlot* slot = known.dismissed ? journal::find_slot(oid) : nullptr;
    if (slot != nullptr && slot->holds > 0) --slot->holds;
  }
  LWLockRelease(journal::shared_state()->lock);
  journal::shared_state()->launcher_proc = -1;
  journal::shared_state()->launcher_pid = 0;
}

}  // namespace

CACHE_INVALIDATE_WORKER_MAIN(launcher_main) {
  pqsignal(SIGTERM, die);
  pqsignal(SIGINT, SIG_IGN);  // there is no query to cancel
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  pg::pin_transaction_timeout();
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  journal::shared_state()->launcher_proc = pg::own_proc_number();
  journal::shared_state()->launcher_pid = MyProcPid;
  databases = new std::unordered_map<Oid, Known>();
  before_shmem_exit(forget_launcher, Datum(0));
  TimestampTz last_look = 0;
  while (true) {
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
      forget_times();
    }
    CACHE_INVALIDATE_CRASH_POINT("launcher.look", fails);
    refresh_list();
    take_requests();
    const TimestampTz now = GetCurrentTimestamp();
    // The clock was set back: nobody shall wait until it says the same again.
    if (now < std::exchange(last_look, now) - kSecond) forget_times();
    settle_slots(now);
    start_missing(now);
    forget_unlisted();
    show();
    const long timeout = static_cast<long>((next_round(now) - now) / 1000 + 1);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, pg::main_wait_event());
    ResetLatch(MyLatch);
  }
}

void register_launcher() {
  BackgroundWorker definition = pg::describe_worker("cache_invalidate_launcher_main", "cache_invalidate launcher");
  definition.bgw_restart_time = 5;
  RegisterBackgroundWorker(&definition);
}

}  // namespace cache_invalidate::delivery
