#include "capture/blind_spots.hpp"

#include "capture/inheritance.hpp"
#include "capture/table_changes.hpp"

namespace cache_invalidate::capture {
namespace {

constexpr int kMostNames = 5;

// "a", "b" and 3 more
const char* list_names(const List* tables) {
  StringInfoData text;
  initStringInfo(&text);
  for (int i = 0; i < list_length(tables) && i < kMostNames; ++i) {
    const char* name = get_rel_name(list_nth_oid(tables, i));
    appendStringInfo(&text, "%s\"%s\"", i > 0 ? ", " : "", name != nullptr ? name : "");
  }
  if (list_length(tables) > kMostNames) appendStringInfo(&text, " and %d more", list_length(tables) - kMostNames);
  return text.data;
}

void warn_of_children(const char* parents, const List* children) {
  if (children == NIL) return;
  ereport(WARNING, (errmsg("rows of %s change without a trigger", list_names(children)),
                    errdetail("Inheritance children do not inherit the row triggers of %s.", parents),
                    errhint("Create cache invalidation triggers on each child too.")));
}

void warn_of_unlogged(const List* tables) {
  if (tables == NIL) return;
  ereport(WARNING, (errmsg("rows of %s can be lost without a trigger", list_names(tables)),
                    errdetail("A crash of the server empties unlogged tables."),
                    errhint("Use SET LOGGED, or delete what caches hold of the rows after a crash.")));
}

void warn_of_foreign(const List* tables) {
  if (tables == NIL) return;
  ereport(WARNING, (errmsg("rows of %s can change without a trigger", list_names(tables)),
                    errdetail("Of a foreign table only the changes that are made through it are seen."),
                    errhint("Let the keys expire, or invalidate also where the rows are stored.")));
}

void warn_of_moves(const Trigger& trigger, Relation table) {
  if (!TRIGGER_FOR_UPDATE(trigger.tgtype) || (TRIGGER_FOR_INSERT(trigger.tgtype) && TRIGGER_FOR_DELETE(trigger.tgtype))) return;
  ereport(WARNING, (errmsg("trigger \"%s\" does not see rows of \"%s\" that move between partitions", trigger.tgname,
                           RelationGetRelationName(table)),
                    errdetail("An UPDATE that moves a row fires the triggers for DELETE and INSERT instead."),
                    errhint("Write AFTER INSERT OR UPDATE OR DELETE.")));
}

}  // namespace

void warn_of_blind_spots(const Trigger& trigger, Relation table) {
  const bool is_partitioned = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  if (is_partitioned) warn_of_moves(trigger, table);
  List* children = NIL;
  List* unlogged = NIL;
  List* foreign = NIL;
  ListCell* cell;
  foreach (cell, find_descendants(RelationGetRelid(table))) {
    const Oid member = lfirst_oid(cell);
    if (member != RelationGetRelid(table) && !is_partitioned) {
      if (!has_row_triggers(member)) children = lappend_oid(children, member);
      continue;
    }
    const char kind = get_rel_relkind(member);
    if (kind == RELKIND_FOREIGN_TABLE) foreign = lappend_oid(foreign, member);
    if (kind == RELKIND_RELATION && get_rel_persistence(member) == RELPERSISTENCE_UNLOGGED) unlogged = lappend_oid(unlogged, member);
  }
  warn_of_children(list_names(list_make1_oid(RelationGetRelid(table))), children);
  warn_of_unlogged(unlogged);
  warn_of_foreign(foreign);
}

void warn_of_parents(Oid child, const List* parents) {
  List* covered = NIL;
  ListCell* parent;
  foreach (parent, parents) {
    const Oid oid = RangeVarGetRelid(static_cast<const RangeVar*>(lfirst(parent)), NoLock, true);
    if (!OidIsValid(oid)) continue;
    ListCell* ancestor;
    foreach (ancestor, find_ancestors(oid)) {
      if (has_row_triggers(lfirst_oid(ancestor))) covered = list_append_unique_oid(covered, lfirst_oid(ancestor));
    }
  }
  if (covered != NIL && !has_row_triggers(child)) warn_of_children(list_names(covered), list_make1_oid(child));
}

}  // namespace cache_invalidate::capture
