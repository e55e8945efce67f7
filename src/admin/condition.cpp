// Sources of get_cache_invalidation_health(): what shared memory tells of this database's worker and journal, and the
// check for liveness probes. Cheap, and it waits for nobody.
#include "admin/row.hpp"
#include "journal/board.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::admin {
namespace {

const char* state_name(const journal::DatabaseSlot* slot) {
  if (slot == nullptr) return "none";
  switch (slot->state) {
    case journal::WorkerState::none: return "none";
    case journal::WorkerState::starting: return "starting";
    case journal::WorkerState::running: return "running";
    case journal::WorkerState::absent: return "absent";
    case journal::WorkerState::held: return "held";
  }
  return "none";
}

const char* obstacle_text(const journal::DatabaseSlot* slot) {
  switch (slot == nullptr ? journal::Obstacle::none : slot->obstacle) {
    case journal::Obstacle::none: break;
    case journal::Obstacle::no_process: return "max_worker_processes is exhausted";
    case journal::Obstacle::no_role: return "the role in cache_invalidate.worker_role does not exist";
    case journal::Obstacle::may_not_log_in: return "the role in cache_invalidate.worker_role may not log in";
    case journal::Obstacle::may_not_connect: return "the role in cache_invalidate.worker_role may not connect to the database";
  }
  return "";
}

const char* hold_name(journal::JournalHold hold) {
  switch (hold) {
    case journal::JournalHold::none: break;
    case journal::JournalHold::reading: return "reading";
    case journal::JournalHold::target: return "target";
    case journal::JournalHold::messages: return "messages";
    case journal::JournalHold::replay_window: return "replay window";
    case journal::JournalHold::transaction: return "transaction";
  }
  return "";
}

// Is there something that the worker has not taken, as far as it was told?
bool has_work(journal::DatabaseSlot& slot, journal::Board& board) {
  return board.ring()->used() > 0 || pg_atomic_read_u32(&slot.read_journal) != 0 || pg_atomic_read_u32(&slot.volatile_lost) != 0;
}

void add_board(Row& row, journal::DatabaseSlot& slot, journal::Board& board) {
  row.add_time(board.last_cycle);
  row.add_time(board.last_delivery);
  row.add(BoolGetDatum(has_work(slot, board)));
  row.add_count(&board.ring_overflows);
  row.add_time(board.ring_overflowed);
  row.add_time(board.oldest_message);
  row.add_count(&board.batches_unsaid);
  row.add(Int64GetDatum(static_cast<int64>(board.journal_bytes)));
  row.add_text(hold_name(board.journal_hold));
  row.add_oid(board.journal_hold_server);
  row.add(BoolGetDatum(board.journal_full));
  row.add(BoolGetDatum(board.notify_held));
}

struct Health {
  char* status;
  char* problems;
};

// In memory of the SPI procedure.
Health read_health(const pg::Extension& extension) {
  const char* sql = psprintf(
      "SELECT status, pg_catalog.array_to_string(problems, E'\\n') FROM %s.get_cache_invalidation_health()",
      pg::quoted_schema(extension));
  if (SPI_execute(sql, true, 1) != SPI_OK_SELECT || SPI_processed != 1) elog(ERROR, "could not read the health");
  HeapTuple tuple = SPI_tuptable->vals[0];
  return {SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1), SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2)};
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(condition) {
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) elog(ERROR, "return type must be a row type");
  const journal::SharedState* shared = journal::shared_state();
  journal::DatabaseSlot* slot = journal::find_slot(MyDatabaseId);
  const int pid = slot == nullptr ? 0 : slot->worker_pid;
  Row row;
  row.add(BoolGetDatum(shared != nullptr));
  row.add(BoolGetDatum(shared != nullptr && shared->launcher_pid != 0));
  row.add_text(state_name(slot));
  row.add_text(obstacle_text(slot));
  row.add_number(pid);
  row.add_time(pid == 0 ? 0 : slot->worker_started);
  row.add(Int32GetDatum(slot == nullptr ? 0 : static_cast<int32>(slot->worker_starts)));
  row.add(Int64GetDatum(static_cast<int64>(settings::max_journal_size) * 1024 * 1024));
  journal::Board* board = pid == 0 ? nullptr : journal::attach_board();
  if (board != nullptr) add_board(row, *slot, *board);
  while (row.count() < descriptor->natts) row.add_null();
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), row.values(), row.nulls()));
}

CACHE_INVALIDATE_FUNCTION(check) {
  const char* tolerated = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const bool tolerates_degraded = strcmp(tolerated, "degraded") == 0;
  if (!tolerates_degraded && strcmp(tolerated, "ok") != 0) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid status \"%s\"", tolerated),
                    errhint("Say which status is good enough: \"ok\" or \"degraded\".")));
  }
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"cache_invalidate\" is not installed")));
  }
  SPI_connect();
  const Health health = read_health(*extension);
  if (strcmp(health.status, "down") == 0 || (!tolerates_degraded && strcmp(health.status, "ok") != 0)) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("cache invalidation is %s", health.status),
                    errdetail_internal("%s", health.problems)));
  }
  const Datum result = SPI_datumTransfer(CStringGetTextDatum(health.status), false, -1);
  SPI_finish();
  return result;
}

}  // namespace cache_invalidate::admin
