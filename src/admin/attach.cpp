#include "admin/attach.hpp"

#include "admin/attached_triggers.hpp"
#include "admin/installed.hpp"
#include "capture/inheritance.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::admin {
namespace {

// What shall be, and what has to be done for it. Plain data, in the current context.
struct Plan {
  Oid table;
  List* tree;        // the table, its partitions and children, parents first
  bool is_partitioned;
  const char* row_trigger;
  const char* truncate_trigger;
  List* arguments;
  char firing;
  List* stale;       // names of triggers of ours from before the table was renamed
  List* statements;  // SQL
  bool drops;
  bool other_arguments;
  bool other_firing;
};

[[noreturn]] void refuse_gone(Oid table) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", table)));
}

// A table that is not locked may be dropped at any time.
const char* qualified_name(Oid table) {
  const char* name = get_rel_name(table);
  const char* schema = name == nullptr ? nullptr : get_namespace_name(get_rel_namespace(table));
  if (schema == nullptr) refuse_gone(table);
  return quote_qualified_identifier(schema, name);
}

void add(Plan& plan, char* statement) { plan.statements = lappend(plan.statements, statement); }

void drop_trigger(Plan& plan, Oid table, const char* name) {
  add(plan, psprintf("DROP TRIGGER %s ON %s", quote_identifier(name), qualified_name(table)));
  plan.drops = true;
}

void set_firing(Plan& plan, Oid table, const char* name) {
  add(plan, psprintf("ALTER TABLE %s ENABLE %sTRIGGER %s", qualified_name(table), plan.firing == TRIGGER_FIRES_ALWAYS ? "ALWAYS " : "",
                     quote_identifier(name)));
}

void create_trigger(Plan& plan, Oid table, const char* name, std::int16_t type) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfo(&sql, "CREATE TRIGGER %s AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION %s.notify_cache_invalidation(",
                   quote_identifier(name), type == kRowType ? "INSERT OR UPDATE OR DELETE" : "TRUNCATE", qualified_name(table),
                   type == kRowType ? "ROW" : "STATEMENT", pg::quoted_schema(installed_extension()));
  const ListCell* cell;
  foreach (cell, plan.arguments) {
    appendStringInfo(&sql, "%s%s", cell == list_head(plan.arguments) ? "" : ", ", quote_literal_cstr(static_cast<char*>(lfirst(cell))));
  }
  appendStringInfoChar(&sql, ')');
  add(plan, sql.data);
  if (plan.firing != TRIGGER_FIRES_ON_ORIGIN) set_firing(plan, table, name);
}

void refuse_foreign_trigger(Oid table, const AttachedTrigger& trigger) {
  if (!trigger.is_ours) {
    ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                    errmsg("trigger \"%s\" of table \"%s\" is none of cache_invalidate", trigger.name, get_rel_name(table)),
                    errdetail("It calls another function than notify_cache_invalidation()."), errhint("Rename or drop it.")));
  }
  if (trigger.is_clone) {
    ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                    errmsg("trigger \"%s\" of partition \"%s\" belongs to the partitioned table", trigger.name, get_rel_name(table)),
                    errhint("Call the function for the partitioned table.")));
  }
}

void want_trigger(Plan& plan, Oid table, const List* present, const char* name, std::int16_t type) {
  const AttachedTrigger* found = find_attached(present, name);
  if (found != nullptr) {
    refuse_foreign_trigger(table, *found);
    if (found->is_plain && found->type == type && same_arguments(found->arguments, plan.arguments)) {
      if (found->firing == plan.firing) return;
      set_firing(plan, table, name);
      plan.other_firing = true;
      return;
    }
    drop_trigger(plan, table, name);
    plan.other_arguments = true;
  }
  create_trigger(plan, table, name, type);
}

// Those of the pair that the function made when the table had another name.
List* find_stale(const Plan& plan, const List* present) {
  List* stale = NIL;
  const ListCell* cell;
  foreach (cell, present) {
    const auto* row = static_cast<const AttachedTrigger*>(lfirst(cell));
    if (!row->is_ours || row->is_clone || !row->is_plain || row->type != kRowType || !is_named_by_us(row->name) ||
        strcmp(row->name, plan.row_trigger) == 0) {
      continue;
    }
    const AttachedTrigger* companion = find_attached(present, companion_name(row->name));
    if (companion == nullptr || !companion->is_ours || companion->type != kTruncateType || !same_arguments(companion->arguments, row->arguments) ||
        belongs_above(plan.table, row->name, plan.tree)) {
      continue;
    }
    stale = lappend(lappend(stale, const_cast<char*>(row->name)), const_cast<char*>(companion->name));
  }
  return stale;
}

void drop_stale(Plan& plan, Oid table, const List* present) {
  const ListCell* cell;
  foreach (cell, plan.stale) {
    const char* name = static_cast<const char*>(lfirst(cell));
    const AttachedTrigger* found = find_attached(present, name);
    if (found != nullptr && found->is_ours && !found->is_clone && strcmp(name, plan.truncate_trigger) != 0) drop_trigger(plan, table, name);
  }
}

// Children before their parents, so that nobody is warned of rows that a moment later are covered.
void plan_members(Plan& plan) {
  for (int i = list_length(plan.tree) - 1; i >= 0; --i) {
    const Oid member = list_nth_oid(plan.tree, i);
    const bool is_table = member == plan.table;
    const bool is_partition = !is_table && plan.is_partitioned;
    // It may be gone. What others cannot see is in no cache.
    if (!is_table && (get_rel_name(member) == nullptr || get_rel_persistence(member) == RELPERSISTENCE_TEMP)) continue;
    const List* present = read_attached(member);
    drop_stale(plan, member, present);
    if (get_rel_relkind(member) != RELKIND_FOREIGN_TABLE) want_trigger(plan, member, present, plan.truncate_trigger, kTruncateType);
    if (!is_partition) {
      want_trigger(plan, member, present, plan.row_trigger, kRowType);
      continue;
    }
    // Set on the partitioned table, it is set on all that was cloned from there.
    const AttachedTrigger* clone = find_attached(present, plan.row_trigger);
    if (clone != nullptr && clone->is_clone && clone->firing != plan.firing) plan.other_firing = true;
  }
  if (plan.other_firing && plan.is_partitioned) set_firing(plan, plan.table, plan.row_trigger);
}

Plan make_plan(Oid table, const AttachOptions& options) {
  Plan plan{};
  const char* name = get_rel_name(table);
  const char* schema = name == nullptr ? nullptr : get_namespace_name(get_rel_namespace(table));
  if (schema == nullptr) refuse_gone(table);
  plan.table = table;
  plan.tree = capture::find_descendants(table);
  plan.is_partitioned = get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE;
  plan.row_trigger = row_trigger_name(name);
  plan.truncate_trigger = truncate_trigger_name(name);
  plan.arguments = trigger_arguments(options, schema, name);
  plan.firing = options.always ? TRIGGER_FIRES_ALWAYS : TRIGGER_FIRES_ON_ORIGIN;
  plan.stale = find_stale(plan, read_attached(table));
  plan_members(plan);
  return plan;
}

void execute(const List* statements) {
  SPI_connect();
  const ListCell* cell;
  foreach (cell, statements) {
    const int result = SPI_execute(static_cast<const char*>(lfirst(cell)), false, 0);
    if (result < 0) elog(ERROR, "%s", SPI_result_code_string(result));
  }
  SPI_finish();
}

// Before anybody waits for a lock.
void check_target(Oid table) {
  const char* name = get_rel_name(table);
  if (name == nullptr) refuse_gone(table);
  const char kind = get_rel_relkind(table);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_FOREIGN_TABLE) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", name),
                    errhint("Only changes of tables can be captured: name the tables that it is made from.")));
  }
  const AclResult result = pg_class_aclcheck(table, GetUserId(), ACL_TRIGGER);
  if (result != ACLCHECK_OK) aclcheck_error(result, get_relkind_objtype(kind), name);
}

void tell_replaced(const Plan& plan) {
  if (!plan.drops && !plan.other_firing) return;
  const char* name = plan.stale != NIL ? " The table had another name." : "";
  const char* definition = plan.other_arguments ? " Their definition was another." : "";
  const char* firing = plan.other_firing ? " Their firing mode was another." : "";
  ereport(NOTICE, (errmsg("replaced the cache invalidation triggers of table \"%s\"", get_rel_name(plan.table)),
                   errdetail("%s", psprintf("%s%s%s", name, definition, firing) + 1)));
}

// False: it stays, and the user is told.
bool may_detach(Oid table, Oid member, const AttachedTrigger& trigger, const List* tree) {
  const bool is_above = belongs_above(member, trigger.name, tree);
  if (!is_above && !trigger.is_clone && is_named_by_us(trigger.name)) return true;
  // What a partition or a child has from above is told once.
  if ((trigger.is_clone || is_above) && member != table) return false;
  ereport(NOTICE, (errmsg("trigger \"%s\" of table \"%s\" stays", trigger.name, get_rel_name(member)),
                   is_above ? errdetail("It belongs to a table that this one is a partition or a child of.")
                            : errdetail("It calls notify_cache_invalidation(), but was not made by enable_cache_invalidation().")));
  return false;
}

}  // namespace

bool attach(Oid table, const AttachOptions& options) {
  check_target(table);
  Plan plan = make_plan(table, options);
  if (plan.statements == NIL) return false;
  // Whoever drops a trigger would ask for the stronger lock later, and might wait for who waits for us.
  const LOCKMODE lock = plan.drops ? AccessExclusiveLock : ShareRowExclusiveLock;
  LockRelationOid(table, lock);
  // It may have been dropped by who had the lock.
  if (get_rel_name(table) == nullptr) refuse_gone(table);
  find_all_inheritors(table, lock, nullptr);
  plan = make_plan(table, options);
  execute(plan.statements);
  tell_replaced(plan);
  return plan.statements != NIL;
}

bool detach(Oid table) {
  if (get_rel_name(table) == nullptr) refuse_gone(table);
  const List* tree = capture::find_descendants(table);
  bool any = false;
  const ListCell* member;
  foreach (member, tree) {
    const ListCell* cell;
    foreach (cell, read_attached(lfirst_oid(member))) {
      const auto* trigger = static_cast<const AttachedTrigger*>(lfirst(cell));
      if (!trigger->is_ours || !may_detach(table, lfirst_oid(member), *trigger, tree)) continue;
      Plan plan{};
      drop_trigger(plan, lfirst_oid(member), trigger->name);
      execute(plan.statements);
      any = true;
    }
  }
  return any;
}

}  // namespace cache_invalidate::admin
