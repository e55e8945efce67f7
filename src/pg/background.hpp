// What all background workers of the extension have in common.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

// `function` is an exported main, `type` is what pg_stat_activity shows. Never restarted by the postmaster.
inline BackgroundWorker describe_worker(const char* function, const char* type) {
  BackgroundWorker definition{};
  definition.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  definition.bgw_start_time = BgWorkerStart_RecoveryFinished;
  definition.bgw_restart_time = BGW_NEVER_RESTART;
  strlcpy(definition.bgw_library_name, "cache_invalidate", BGW_MAXLEN);
  strlcpy(definition.bgw_function_name, function, BGW_MAXLEN);
  strlcpy(definition.bgw_name, type, BGW_MAXLEN);
  strlcpy(definition.bgw_type, type, BGW_MAXLEN);
  return definition;
}

}  // namespace cache_invalidate::pg
