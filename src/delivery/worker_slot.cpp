#include "delivery/worker_slot.hpp"

#include "pg/crash_point.hpp"

namespace cache_invalidate::delivery {
namespace {

void leave_slot(int /*code*/, Datum /*argument*/) {
  CACHE_INVALIDATE_CRASH_POINT("worker.leave", dies);
  journal::SharedState* shared = journal::shared_state();
  journal::DatabaseSlot* slot = journal::find_slot(MyDatabaseId);
  if (slot == nullptr) return;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  if (slot->worker_pid == MyProcPid) {
    slot->worker_pid = 0;
    slot->worker_proc = -1;
    if (slot->state == journal::WorkerState::running) slot->state = journal::WorkerState::none;
  }
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&shared->worker_changed);
  journal::wake_launcher();
}

}  // namespace

journal::DatabaseSlot* enter_slot() {
  journal::SharedState* shared = journal::shared_state();
  journal::DatabaseSlot* slot = shared == nullptr ? nullptr : journal::find_slot(MyDatabaseId);
  if (slot == nullptr) return nullptr;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  const bool is_free = slot->worker_pid == 0 && slot->holds == 0;
  if (is_free) {
    slot->worker_pid = MyProcPid;
    slot->worker_proc = pg::own_proc_number();
    slot->worker_started = GetCurrentTimestamp();
    slot->state = journal::WorkerState::running;
    journal::note_obstacle(*slot, journal::Obstacle::none);
  }
  LWLockRelease(shared->lock);
  if (!is_free) return nullptr;
  before_shmem_exit(leave_slot, Datum(0));
  CACHE_INVALIDATE_CRASH_POINT("worker.entered", fails);
  journal::wake_launcher();
  return slot;
}

void set_slot_state(journal::DatabaseSlot& slot, journal::WorkerState state) {
  LWLockAcquire(journal::shared_state()->lock, LW_EXCLUSIVE);
  slot.state = state;
  LWLockRelease(journal::shared_state()->lock);
}

}  // namespace cache_invalidate::delivery
