// The role in cache_invalidate.worker_role, looked at before a worker connects as it: an attempt that fails would cost a process
// and a line in the log each time.
#pragma once

#include "journal/shared.hpp"

namespace cache_invalidate::delivery {

struct WorkerRole {
  Oid oid;  // InvalidOid: the setting is empty
  journal::Obstacle obstacle;
};

// Launcher, under no lock: makes a transaction if the setting is not empty. What is wrong is said in the log once, with the cure.
WorkerRole find_worker_role(Oid database);

}  // namespace cache_invalidate::delivery
