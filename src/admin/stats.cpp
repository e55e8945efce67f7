// Sources of the views cache_invalidation_stats and cache_invalidation_targets: what the worker of this database and its
// writers keep on the board; and what clears that. Reading it takes no lock that anybody waits for.
#include "admin/row.hpp"
#include "journal/board.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

const char* state_name(const journal::TargetStatus& status) {
  switch (status.state) {
    case journal::TargetState::down: return "down";
    case journal::TargetState::connecting: return "connecting";
    case journal::TargetState::up: return "up";
    case journal::TargetState::disabled: return "disabled";
    case journal::TargetState::paused: return "paused";
  }
  return "down";
}

void add_worker(Row& row, const journal::DatabaseSlot* slot) {
  if (slot == nullptr || slot->worker_pid == 0) {
    row.add_null();
    row.add_null();
  } else {
    row.add(Int32GetDatum(slot->worker_pid));
    row.add_time(slot->worker_started);
  }
  row.add(Int32GetDatum(slot == nullptr ? 0 : static_cast<int32>(slot->worker_starts)));
}

// Changes for each item that was left of them.
void add_folding_ratio(Row& row, std::uint64_t changes, std::uint64_t items) {
  if (items == 0) {
    row.add_null();
  } else {
    row.add(Float8GetDatum(static_cast<double>(changes) / static_cast<double>(items)));
  }
}

void add_board(Row& row, journal::Board* board) {
  row.add_time(board->since);
  row.add_time(board->last_delivery);
  journal::Counters& counters = board->counters;
  for (pg_atomic_uint64* counter : {&counters.batches, &counters.keys, &counters.patterns, &counters.messages, &counters.notified,
                                    &counters.errors, &counters.journal_scans, &counters.truncations}) {
    row.add_count(counter);
  }
  row.add(Int64GetDatum(static_cast<int64>(board->journal_bytes)));
  row.add(Int64GetDatum(static_cast<int64>(board->ring()->used())));
  row.add(Int64GetDatum(static_cast<int64>(board->ring()->capacity())));
  row.add_count(&counters.compactions);
  row.add(BoolGetDatum(board->notify_held));
  static core::Histogram* deletes = new core::Histogram();
  deletes->clear();
  for (const journal::TargetStatus& status : board->target) {
    if (OidIsValid(status.server)) deletes->add(status.latency);
  }
  row.add_latency(*deletes);
  row.add_latency(board->latency);
  const journal::TriggerTable::Sums sums = board->triggers.sums();
  row.add(Int64GetDatum(static_cast<int64>(sums.changes)));
  row.add(Int64GetDatum(static_cast<int64>(sums.items)));
  add_folding_ratio(row, sums.changes, sums.items);
  using Counter = pg_atomic_uint64 journal::TargetStatus::*;
  for (const Counter counter : {&journal::TargetStatus::commands, &journal::TargetStatus::bytes, &journal::TargetStatus::retried, &journal::TargetStatus::widened}) {
    std::uint64_t sum = 0;
    for (journal::TargetStatus& status : board->target) {
      if (OidIsValid(status.server)) sum += pg_atomic_read_u64(&(status.*counter));
    }
    row.add(Int64GetDatum(static_cast<int64>(sum)));
  }
  row.add_count(&counters.resets);
}

// Asked for by a flag, so that the worker does it, which adds to latencies. True: it has answered.
bool ask_worker_to_clear(journal::Board& board, const journal::DatabaseSlot& slot) {
  constexpr TimestampTz kLongestWait = 10 * 1000000L;
  const TimestampTz end = GetCurrentTimestamp() + kLongestWait;
  const uint32 wanted = pg_atomic_add_fetch_u32(&board.clear_wanted, 1);
  journal::wake_worker(slot);
  const auto is_done = [&] { return static_cast<int32>(pg_atomic_read_u32(&board.clear_done) - wanted) >= 0; };
  ConditionVariablePrepareToSleep(&board.cleared);
  while (!is_done() && slot.worker_pid != 0 && GetCurrentTimestamp() < end) {
    ConditionVariableTimedSleep(&board.cleared, 100, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  return is_done();
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(stats) {
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) elog(ERROR, "return type must be a row type");
  Row row;
  add_worker(row, journal::find_slot(MyDatabaseId));
  journal::Board* board = journal::attach_board();
  if (board != nullptr) {
    add_board(row, board);
  } else {
    for (int i = 3; i < descriptor->natts; ++i) row.add_null();
  }
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), row.values(), row.nulls()));
}

CACHE_INVALIDATE_FUNCTION(targets) {
  pg::begin_result_set(fcinfo);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  journal::Board* board = journal::attach_board();
  if (board == nullptr) return Datum(0);
  for (journal::TargetStatus& status : board->target) {
    if (!OidIsValid(status.server)) continue;
    Row row;
    row.add(ObjectIdGetDatum(status.server));
    row.add_text(state_name(status));
    row.add_time(status.changed);
    char problem[sizeof status.problem];
    strlcpy(problem, status.problem, sizeof problem);
    row.add_text(pg::from_utf8_anyhow(problem));
    char cure[sizeof status.cure];
    strlcpy(cure, status.cure, sizeof cure);
    row.add_text(cure);
    row.add_count(&status.pending);
    row.add(BoolGetDatum(status.reads_journal));
    row.add_count(&status.patterns_pending);
    row.add_known(&status.sweep_scanned);
    row.add_known(&status.sweep_total);
    row.add_count(&status.widened);
    for (pg_atomic_uint64* counter : {&status.keys, &status.commands, &status.bytes, &status.connects, &status.failures, &status.published}) {
      row.add_count(counter);
    }
    row.add_time(status.acknowledged);
    row.add_latency(status.latency);
    row.add_time(status.oldest_owed);
    row.add_count(&status.batches_owed);
    row.add_count(&status.retried);
    row.store(*result);
  }
  return Datum(0);
}

CACHE_INVALIDATE_FUNCTION(reset_stats) {
  journal::Board* board = journal::attach_board();
  const journal::DatabaseSlot* slot = journal::find_slot(MyDatabaseId);
  if (board == nullptr || slot == nullptr || ask_worker_to_clear(*board, *slot)) PG_RETURN_VOID();
  if (slot->worker_pid == 0) {
    journal::clear_statistics_if_wanted(*board);
    PG_RETURN_VOID();
  }
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("the worker of this database has not cleared its statistics within 10 seconds"),
                  errdetail("It will when it gets to it."), errhint("See the view \"cache_invalidation_stats\".")));
}

}  // namespace cache_invalidate::admin
