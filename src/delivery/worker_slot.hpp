// The worker's place in shared memory, by which the launcher and those who commit find it.
#pragma once

#include "journal/shared.hpp"

namespace cache_invalidate::delivery {

// Takes the place of this database, until the process ends. nullptr: the launcher did not ask for us, or another worker has it.
journal::DatabaseSlot* enter_slot();

void set_slot_state(journal::DatabaseSlot& slot, journal::WorkerState state);

}  // namespace cache_invalidate::delivery
