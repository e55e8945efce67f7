// cleanup_trigger_error_log(): deletes old rows of trigger_error_log.
#include "admin/installed.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::admin {

CACHE_INVALIDATE_FUNCTION(cleanup_error_log) {
  const int32 days = PG_GETARG_INT32(0);
  if (days < 0) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid number of days: %d", days),
                    errhint("Give how many days of errors to keep: 0 deletes all.")));
  }
  const pg::Extension& extension = installed_extension();
  const char* sql = psprintf(
      "DELETE FROM %s.trigger_error_log "
      "WHERE occurred_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(days => $1))",
      pg::quoted_schema(extension));
  Oid types[] = {INT4OID};
  // Further back there is nothing, and timestamps end.
  Datum values[] = {Int32GetDatum(Min(days, 365 * 100))};
  // As the worker deletes: a trigger or rule that somebody was let put on the table does not run as the extension's owner.
  const int level = NewGUCNestLevel();
  set_config_option("session_replication_role", "replica", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  SPI_connect();
  SPI_execute_with_args(sql, 1, types, values, nullptr, false, 0);
  const uint64 deleted = SPI_processed;
  SPI_finish();
  AtEOXact_GUC(true, level);
  PG_RETURN_INT32(static_cast<int32>(deleted));
}

}  // namespace cache_invalidate::admin
