#include "journal/shared.hpp"

#include <initializer_list>

namespace cache_invalidate::journal {
namespace {

constexpr const char* kName = "cache_invalidate";

shmem_startup_hook_type previous_startup_hook = nullptr;
SharedState* state = nullptr;
AnnouncedArray* announced = nullptr;

std::uint32_t slot_count() { return static_cast<std::uint32_t>(Max(max_worker_processes, 1)); }

Size shared_size() {
  return offsetof(SharedState, slot) + static_cast<Size>(slot_count()) * sizeof(DatabaseSlot);
}

Size announced_size() {
  return offsetof(AnnouncedArray, writer) + static_cast<Size>(pg::proc_number_limit()) * sizeof(AnnouncedWriter);
}

void request() {
  RequestAddinShmemSpace(shared_size() + announced_size());
  RequestNamedLWLockTranche(kName, 1);
}

template <typename Visit>
void for_each_flag(DatabaseSlot& slot, Visit visit) {
  for (pg_atomic_uint32* flag : {&slot.active_segment, &slot.read_journal, &slot.catalog_changed, &slot.volatile_wanted,
                                 &slot.volatile_allowed, &slot.volatile_lost, &slot.journal_full}) {
    visit(*flag);
  }
}

void free_slot(DatabaseSlot& slot) {
  slot.database = InvalidOid;
  slot.state = WorkerState::none;
  slot.worker_pid = 0;
  slot.worker_proc = -1;
  slot.worker_started = 0;
  slot.worker_starts = 0;
  slot.obstacle = Obstacle::none;
  slot.obstacle_since = 0;
  slot.holds = 0;
  slot.ring = 0;
}

void on_startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  state = static_cast<SharedState*>(ShmemInitStruct(kName, shared_size(), &found));
  if (!found) {
    memset(state, 0, shared_size());
    state->lock = &GetNamedLWLockTranche(kName)->lock;
    ConditionVariableInit(&state->worker_changed);
    state->launcher_proc = -1;
    state->slots = slot_count();
    for (std::uint32_t i = 0; i < state->slots; ++i) {
      DatabaseSlot& slot = state->slot[i];
      pg_atomic_init_u32(&slot.generation, 1);
      for_each_flag(slot, [](pg_atomic_uint32& flag) { pg_atomic_init_u32(&flag, 0); });
      free_slot(slot);
    }
  }
  announced = static_cast<AnnouncedArray*>(ShmemInitStruct("cache_invalidate announced", announced_size(), &found));
  if (!found) {
    pg_atomic_init_u64(&announced->channel_changes, 0);
    announced->size = static_cast<std::uint32_t>(pg::proc_number_limit());
    for (std::uint32_t i = 0; i < announced->size; ++i) {
      pg_atomic_init_u64(&announced->writer[i].xid, 0);
      pg_atomic_init_u64(&announced->writer[i].written_from, 0);
      pg_atomic_init_u64(&announced->writer[i].channels, 0);
    }
  }
  LWLockRelease(AddinShmemInitLock);
}

AnnouncedWriter* own_place() {
  if (announced == nullptr) return nullptr;
  const auto place = static_cast<std::uint32_t>(pg::own_proc_number());
  return place < announced->size ? &announced->writer[place] : nullptr;
}

void wake(int proc) {
  if (proc >= 0) SetLatch(&ProcGlobal->allProcs[proc].procLatch);
}

}  // namespace

void request_shared_memory() {
  pg::when_shared_memory_is_requested<request>();
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = on_startup;
}

SharedState* shared_state() { return state; }
AnnouncedArray* announced_transactions() { return announced; }

void announce_transaction(std::uint64_t xid) noexcept {
  AnnouncedWriter* own = own_place();
  if (own == nullptr || pg_atomic_read_u64(&own->xid) == xid) return;
  // Whatever this transaction has written to the WAL, or else anybody: its journal rows come behind that.
  pg_atomic_write_u64(&own->written_from, XactLastRecEnd != 0 ? XactLastRecEnd : GetXLogInsertRecPtr());
  pg_atomic_write_u32(&own->database, MyDatabaseId);
  pg_write_barrier();
  pg_atomic_write_u64(&own->xid, xid);
}

void withdraw_transaction() noexcept {
  // What was handed over must be seen by whoever sees that it is withdrawn.
  pg_memory_barrier();
  if (AnnouncedWriter* own = own_place()) pg_atomic_write_u64(&own->xid, 0);
}

bool is_still_announced(const Announced& transaction) {
  return pg_atomic_read_u64(&announced->writer[transaction.place].xid) == transaction.xid;
}

void announce_channels(Oid database, std::uint32_t channels) noexcept {
  AnnouncedWriter* own = own_place();
  if (own == nullptr) return;
  const std::uint64_t known = pg_atomic_read_u64(&own->channels);
  pg_atomic_write_u64(&own->channels, static_cast<std::uint64_t>(database) << 32 | static_cast<std::uint32_t>(known) | channels);
  // A full barrier.
  pg_atomic_fetch_add_u64(&announced->channel_changes, 1);
}

void withdraw_channels() noexcept {
  AnnouncedWriter* own = own_place();
  if (own == nullptr) return;
  pg_atomic_write_u64(&own->channels, 0);
  pg_atomic_fetch_add_u64(&announced->channel_changes, 1);
}

std::uint32_t announced_channels(Oid database) {
  std::uint32_t channels = 0;
  for (std::uint32_t i = 0; i < announced->size; ++i) {
    const std::uint64_t own = pg_atomic_read_u64(&announced->writer[i].channels);
    if (own >> 32 == database) channels |= static_cast<std::uint32_t>(own);
  }
  return channels;
}

std::uint64_t channel_changes() {
  const std::uint64_t changes = pg_atomic_read_u64(&announced->channel_changes);
  pg_read_barrier();
  return changes;
}

DatabaseSlot* find_slot(Oid database) {
  if (state == nullptr) return nullptr;
  for (std::uint32_t i = 0; i < state->slots; ++i) {
    if (state->slot[i].database == database) return &state->slot[i];
  }
  return nullptr;
}

DatabaseSlot* claim_slot(Oid database) {
  DatabaseSlot* slot = find_slot(database);
  if (slot != nullptr) return slot;
  slot = find_slot(InvalidOid);
  if (slot == nullptr) return nullptr;
  free_slot(*slot);
  for_each_flag(*slot, [](pg_atomic_uint32& flag) { pg_atomic_write_u32(&flag, 0); });
  pg_atomic_fetch_add_u32(&slot->generation, 1);
  slot->database = database;
  return slot;
}

void note_obstacle(DatabaseSlot& slot, Obstacle obstacle) {
  if (slot.obstacle == obstacle) return;
  slot.obstacle = obstacle;
  slot.obstacle_since = obstacle == Obstacle::none ? 0 : GetCurrentTimestamp();
}

void wake_worker(const DatabaseSlot& slot) { wake(slot.worker_proc); }

void wake_launcher() {
  if (state != nullptr) wake(state->launcher_proc);
}

void request_probe(Oid database) {
  if (state == nullptr) return;
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  if (state->probes < lengthof(state->probe)) {
    state->probe[state->probes++] = database;
  } else {
    state->probe_all = true;
  }
  LWLockRelease(state->lock);
  wake_launcher();
}

}  // namespace cache_invalidate::journal
