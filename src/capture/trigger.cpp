// notify_cache_invalidation(): notes what a change makes stale. Runs in the writer's backend, once a row, and once
// for a TRUNCATE.
//
// Per row: no SQL, no subtransaction, and no allocation of ours in the steady state. What cannot be computed
// does not fail the statement: it is widened and written to the error log.
#include "capture/row_changes.hpp"
#include "capture/transaction.hpp"
#include "capture/trigger_counts.hpp"
#include "pg/crash_point.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::capture {
namespace {

core::Operation operation_of(TriggerEvent event) {
  if (TRIGGER_FIRED_BY_INSERT(event)) return core::Operation::insert;
  if (TRIGGER_FIRED_BY_DELETE(event)) return core::Operation::remove;
  if (TRIGGER_FIRED_BY_TRUNCATE(event)) return core::Operation::truncate;
  return core::Operation::update;
}

void check_call(FunctionCallInfo fcinfo) {
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"notify_cache_invalidation\" was not called by a trigger"),
                    errhint("Attach it with CREATE TRIGGER ... EXECUTE FUNCTION notify_cache_invalidation(...).")));
  }
  const auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
  const bool row = TRIGGER_FIRED_FOR_ROW(data->tg_event);
  if (!TRIGGER_FIRED_AFTER(data->tg_event) || row == TRIGGER_FIRED_BY_TRUNCATE(data->tg_event)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("trigger \"%s\" must be fired AFTER, FOR EACH ROW or on TRUNCATE", data->tg_trigger->tgname)));
  }
}

void capture_change(const TriggerData& data) {
  CACHE_INVALIDATE_CRASH_POINT("capture.row", fails);
  const CompiledRule& rule = find_rule(data.tg_relation, *data.tg_trigger);
  const int level = GetCurrentTransactionNestLevel();
  RowChange change{operation_of(data.tg_event), nullptr, nullptr};
  switch (change.operation) {
    case core::Operation::insert:
      change.after = data.tg_trigslot;
      break;
    case core::Operation::remove:
      change.before = data.tg_trigslot;
      break;
    case core::Operation::update:
      change.before = data.tg_trigslot;
      change.after = data.tg_newslot;
      break;
    default:
      count_table_change(rule, note_table(rule, core::Operation::truncate, changes(), level), level);
      CACHE_INVALIDATE_CRASH_POINT("capture.truncate.noted", fails);
      return;
  }
  count_row(rule, note_row(rule, change, changes(), level), level);
  CACHE_INVALIDATE_CRASH_POINT("capture.row.noted", fails);
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(notify) {
  check_call(fcinfo);
  if (settings::enabled) {
    capture_change(*reinterpret_cast<TriggerData*>(fcinfo->context));
    changes_added();
  }
  return PointerGetDatum(nullptr);
}

}  // namespace cache_invalidate::capture
