// The event triggers that see DDL which changes what a table holds, or what its triggers see, and fires none of them.
#include "capture/blind_spots.hpp"
#include "capture/check_rename.hpp"
#include "capture/event_trigger.hpp"
#include "capture/inheritance.hpp"
#include "capture/table_changes.hpp"
#include "pg/attempt.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::capture {
namespace {

// Rows of `part` have come into the sight of `whole`, or have left it: a table with row triggers.
void note_rows(Oid whole, Oid part) {
  bool has_row = true;  // as long as it can't be looked into
  static_cast<void>(pg::attempt([&] { has_row = has_visible_row(part); }));
  if (!has_row) return;
  Relation table = try_relation_open(whole, AccessShareLock);
  if (table == nullptr) return;
  note_table_change(table, core::Operation::update);
  relation_close(table, AccessShareLock);
}

// The same for all from which that inherits, as they show its rows too. A partition has the triggers of what it is a part of.
void note_part(Oid whole, Oid part) {
  if (!settings::enabled || !OidIsValid(whole) || !OidIsValid(part)) return;
  ListCell* cell;
  foreach (cell, get_rel_relispartition(whole) ? list_make1_oid(whole) : find_ancestors(whole)) {
    if (has_row_triggers(lfirst_oid(cell))) note_rows(lfirst_oid(cell), part);
  }
}

Oid find_relation(const RangeVar* name) { return RangeVarGetRelid(name, NoLock, true); }

void check_alter(const AlterTableStmt& statement) {
  ListCell* cell;
  foreach (cell, statement.cmds) {
    const auto* command = static_cast<const AlterTableCmd*>(lfirst(cell));
    switch (command->subtype) {
      case AT_AttachPartition:
      case AT_DetachPartition:
      case AT_DetachPartitionFinalize:
        note_part(find_relation(statement.relation), find_relation(reinterpret_cast<const PartitionCmd*>(command->def)->name));
        break;
      case AT_AddInherit:
      case AT_DropInherit:
        note_part(find_relation(reinterpret_cast<const RangeVar*>(command->def)), find_relation(statement.relation));
        if (command->subtype == AT_AddInherit) warn_of_parents(find_relation(statement.relation), list_make1(command->def));
        break;
      default:
        break;
    }
  }
}

void check_create(const CreateStmt& statement) {
  if (statement.inhRelations == NIL || statement.partbound != nullptr) return;
  const Oid child = find_relation(statement.relation);
  if (OidIsValid(child)) warn_of_parents(child, statement.inhRelations);
}

}  // namespace

// ddl_command_end
CACHE_INVALIDATE_FUNCTION(check_ddl) {
  const Node* statement = event_trigger_data(fcinfo).parsetree;
  switch (nodeTag(statement)) {
    case T_AlterTableStmt:
      check_alter(*reinterpret_cast<const AlterTableStmt*>(statement));
      break;
    case T_CreateStmt:
      check_create(*reinterpret_cast<const CreateStmt*>(statement));
      break;
    case T_CreateForeignTableStmt:
      check_create(reinterpret_cast<const CreateForeignTableStmt*>(statement)->base);
      break;
    case T_RenameStmt:
      check_rename(*reinterpret_cast<const RenameStmt*>(statement));
      break;
    default:
      break;
  }
  return PointerGetDatum(nullptr);
}

// table_rewrite: other reasons than these move rows, and leave their values as they are.
CACHE_INVALIDATE_FUNCTION(note_rewrite) {
  event_trigger_data(fcinfo);
  const int reason = DatumGetInt32(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_REASON));
  if ((reason & (AT_REWRITE_DEFAULT_VAL | AT_REWRITE_COLUMN_REWRITE)) == 0) return PointerGetDatum(nullptr);
  const Oid oid = DatumGetObjectId(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_OID));
  Relation table = try_relation_open(oid, AccessShareLock);
  if (table == nullptr) return PointerGetDatum(nullptr);
  if (may_have_rows(table)) note_table_change(table, core::Operation::update);
  relation_close(table, AccessShareLock);
  return PointerGetDatum(nullptr);
}

// ddl_command_start: that it is called has loaded the library, whose hooks see what is dropped.
CACHE_INVALIDATE_FUNCTION(watch_drop) {
  event_trigger_data(fcinfo);
  return PointerGetDatum(nullptr);
}

}  // namespace cache_invalidate::capture
