#include "capture/check_rename.hpp"

#include "capture/check_trigger.hpp"
#include "capture/inheritance.hpp"
#include "capture/table_changes.hpp"
#include "pg/attempt.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::capture {
namespace {

// The tables of the composite type whose relation it is; CASCADE has renamed in them too.
List* find_typed_tables(Oid composite) {
  List* tables = NIL;
  Relation catalog = table_open(RelationRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_class_reloftype, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(get_rel_type_id(composite)));
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 1, &key);
  while (HeapTuple tuple = systable_getnext(scan)) {
    tables = lappend_oid(tables, reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->oid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return tables;
}

// All in which the statement has renamed the column.
List* find_renamed_tables(const RenameStmt& statement) {
  const Oid named = RangeVarGetRelid(statement.relation, NoLock, true);
  if (!OidIsValid(named)) return NIL;
  List* tables = NIL;
  ListCell* cell;
  foreach (cell, statement.renameType == OBJECT_ATTRIBUTE ? find_typed_tables(named) : list_make1_oid(named)) {
    tables = list_concat_unique_oid(tables, find_descendants(lfirst_oid(cell)));
  }
  return tables;
}

// The triggers, of whatever tables, that depend on the column.
List* find_dependent_triggers(Oid table, AttrNumber column) {
  List* triggers = NIL;
  Relation catalog = table_open(DependRelationId, AccessShareLock);
  ScanKeyData keys[3];
  ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(column));
  SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 3, keys);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* row = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
    if (row->classid == TriggerRelationId) triggers = list_append_unique_oid(triggers, row->objid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  list_sort(triggers, list_oid_cmp);
  return triggers;
}

bool is_broken(const Trigger& trigger, Relation table) {
  const core::Result<core::Rule> rule = bind_trigger(trigger, table, nullptr);
  return !rule.ok() && strcmp(rule.error().sqlstate, core::sqlstate::kLockNotAvailable) != 0;
}

// The trigger if it is ours and cannot be understood any more, else nullptr. It may depend on a column without naming
// it, as on the primary key. What somebody else has locked is passed over: it widens when it fires.
const Trigger* find_broken(Oid oid, const char** table_name) {
  const Oid table_oid = find_table_of_trigger(oid);
  if (!OidIsValid(table_oid) || !ConditionalLockRelationOid(table_oid, AccessShareLock)) return nullptr;
  const Trigger* broken = nullptr;
  static_cast<void>(pg::attempt([&] {
    Relation table = table_open(table_oid, NoLock);
    const Trigger* trigger = find_trigger(table, oid);
    *table_name = pstrdup(RelationGetRelationName(table));
    if (trigger != nullptr && is_broken(*trigger, table)) broken = trigger;
    table_close(table, NoLock);
  }));
  UnlockRelationOid(table_oid, AccessShareLock);
  return broken;
}

}  // namespace

void check_rename(const RenameStmt& statement) {
  if (statement.renameType != OBJECT_COLUMN && statement.renameType != OBJECT_ATTRIBUTE) return;
  if (statement.relation == nullptr || pg::extension() == nullptr) return;
  ListCell* table;
  foreach (table, find_renamed_tables(statement)) {
    const AttrNumber column = get_attnum(lfirst_oid(table), statement.newname);
    ListCell* cell;
    foreach (cell, find_dependent_triggers(lfirst_oid(table), column)) {
      const char* table_name = nullptr;
      const Trigger* trigger = find_broken(lfirst_oid(cell), &table_name);
      if (trigger == nullptr) continue;
      ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                      errmsg("cannot rename column \"%s\" of table \"%s\" because a trigger depends on it", statement.subname,
                             get_rel_name(lfirst_oid(table))),
                      errdetail("Trigger \"%s\" on table \"%s\" names it in its arguments.", trigger->tgname, table_name),
                      errhint("In one transaction, drop the trigger, rename the column, and create the trigger again with the new name.")));
    }
  }
}

}  // namespace cache_invalidate::capture
