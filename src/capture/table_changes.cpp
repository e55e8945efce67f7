#include "capture/table_changes.hpp"

#include <algorithm>

#include "capture/inheritance.hpp"
#include "capture/row_changes.hpp"
#include "capture/table_facts.hpp"
#include "capture/table_triggers.hpp"
#include "capture/transaction.hpp"
#include "capture/trigger_counts.hpp"
#include "pg/attempt.hpp"
#include "pg/crash_point.hpp"
#include "pg/extension.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// A table with more is not looked through: DETACH holds locks that others wait for.
constexpr BlockNumber kMostBlocks = 128;

bool holds_visible_row(Relation table) {
  if (table->rd_rel->relkind == RELKIND_FOREIGN_TABLE) return true;
  if (table->rd_rel->relkind != RELKIND_RELATION) return false;
  const BlockNumber blocks = RelationGetNumberOfBlocks(table);
  if (blocks == 0 || blocks > kMostBlocks) return blocks > 0;
  const Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  TupleTableSlot* slot = table_slot_create(table, nullptr);
  TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
  const bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
  table_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
  UnregisterSnapshot(snapshot);
  return found;
}

}  // namespace

bool fires_for_rows(const Trigger& trigger) { return !TRIGGER_FOR_TRUNCATE(trigger.tgtype) && is_enabled(trigger); }

bool has_row_triggers(Oid table) {
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
  bool found = false;
  while (HeapTuple tuple = found ? nullptr : systable_getnext(scan)) {
    const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    found = !TRIGGER_FOR_TRUNCATE(row->tgtype) && pg::is_trigger_function(row->tgfoid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return found;
}

Oid find_table_of_trigger(Oid trigger) {
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
  SysScanDesc scan = systable_beginscan(catalog, TriggerOidIndexId, true, nullptr, 1, &key);
  const HeapTuple tuple = systable_getnext(scan);
  Oid table = InvalidOid;
  if (HeapTupleIsValid(tuple)) {
    const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    if (pg::is_trigger_function(row->tgfoid)) table = row->tgrelid;
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return table;
}

const Trigger* find_trigger(Relation table, Oid oid) {
  for (const Trigger& trigger : copy_our_triggers(table)) {
    if (trigger.tgoid == oid) return &trigger;
  }
  return nullptr;
}

void note_table_change(Relation table, core::Operation operation) {
  if (!settings::enabled || table->trigdesc == nullptr) return;
  TableTriggers triggers;
  pg::guarded([&] { triggers = copy_our_triggers(table); });
  if (std::none_of(triggers.begin(), triggers.end(), fires_for_rows)) return;
  const Trigger* current = nullptr;
  const char* problem = pg::attempt([&] {
    const int level = GetCurrentTransactionNestLevel();
    for (const Trigger& trigger : triggers) {
      if (!fires_for_rows(trigger)) continue;
      current = &trigger;
      CACHE_INVALIDATE_CRASH_POINT("capture.table", caught);
      const CompiledRule& rule = find_rule(table, trigger);
      count_table_change(rule, note_table(rule, operation, changes(), level), level);
      CACHE_INVALIDATE_CRASH_POINT("capture.table.noted", caught);
    }
    changes_added();
  });
  if (problem == nullptr) return;
  const char* name = nullptr;
  pg::guarded([&] {
    const RootTrigger root = find_root_trigger(table, *current);
    name = describe_trigger(root.name, root.table);
  });
  report_uncaptured(RelationGetRelid(table), name, operation, problem);
}

bool may_have_rows(Relation table) {
  if (table->rd_createSubid != InvalidSubTransactionId) return false;
  if (table->rd_rel->relkind != RELKIND_RELATION) return table->rd_rel->relkind == RELKIND_FOREIGN_TABLE;
  BlockNumber blocks = 0;
  try {
    pg::guarded([&] { blocks = RelationGetNumberOfBlocks(table); });
  } catch (const pg::PgError& error) {
    // Its file is gone or can't be read: a table in such a state must go on being dropped or truncated.
    if (pg::ends_statement(error.data())) throw;
    return true;
  }
  return blocks > 0;
}

bool has_visible_row(Oid table) {
  ListCell* cell;
  foreach (cell, find_descendants(table)) {
    // Somebody else may hold it, and wait for us.
    if (!ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock)) return true;
    Relation member = try_relation_open(lfirst_oid(cell), NoLock);
    if (member == nullptr) continue;
    const bool found = holds_visible_row(member);
    relation_close(member, AccessShareLock);
    if (found) return true;
  }
  return false;
}

void report_uncaptured(Oid table, const char* trigger, core::Operation operation, const char* problem) {
  const char* name = nullptr;
  const char* message = nullptr;
  pg::guarded([&] {
    const char* own = get_rel_name(table);
    if (own == nullptr) own = "";
    ereport(WARNING, (errmsg("changes of table \"%s\" could not be captured", own), errdetail("%s", problem),
                      errhint("Delete what caches hold of its rows.")));
    name = pg::to_utf8(own);
    message = pg::to_utf8(problem);
  });
  changes().add_error({name, core::operation_name(operation), message, trigger}, GetCurrentTransactionNestLevel());
}

}  // namespace cache_invalidate::capture
