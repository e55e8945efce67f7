// The event trigger that checks CREATE TRIGGER: a mistake in the arguments is told to who makes it, when he
// makes it, and the columns that the arguments name become dependencies of the trigger.
#include <string>
#include <vector>

#include "capture/foreign_path.hpp"
#include "capture/table_facts.hpp"
#include "core/rule.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// The trigger as relcache has it, or nullptr. The relation stays open.
const Trigger* find_trigger(Relation table, const char* name) {
  const TriggerDesc* triggers = table->trigdesc;
  for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
    if (strcmp(triggers->triggers[i].tgname, name) == 0) return &triggers->triggers[i];
  }
  return nullptr;
}

void check_timing(const Trigger& trigger) {
  constexpr int kEvents = TRIGGER_TYPE_EVENT_MASK;
  const bool truncate = (trigger.tgtype & kEvents) == TRIGGER_TYPE_TRUNCATE;
  const bool row = TRIGGER_FOR_ROW(trigger.tgtype);
  if (TRIGGER_FOR_AFTER(trigger.tgtype) && row != truncate) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                  errmsg("trigger \"%s\" must be AFTER ... FOR EACH ROW, or AFTER TRUNCATE ... FOR EACH STATEMENT", trigger.tgname),
                  errdetail("Function \"notify_cache_invalidation\" reads the rows that were changed."),
                  errhint("Write AFTER INSERT OR UPDATE OR DELETE ON ... FOR EACH ROW, and a second trigger for TRUNCATE.")));
}

void check_table(Relation table) {
  if (table->rd_rel->relpersistence == RELPERSISTENCE_TEMP) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is a temporary table", RelationGetRelationName(table)),
                    errdetail("No cache holds what only one session can see.")));
  }
}

// What is computed when it is read is not there yet when a trigger fires.
void refuse_virtual(Relation table, AttrNumber number) {
  const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), number - 1);
  if (column->attgenerated != pg::kVirtualColumn) return;
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("column \"%s\" of table \"%s\" is a virtual generated column", NameStr(column->attname), RelationGetRelationName(table)),
                  errdetail("Its value does not exist when the trigger fires."), errhint("Make it STORED, or name the columns that it is computed from.")));
}

void depend_on(const Trigger& trigger, const ObjectAddress& object) {
  const ObjectAddress own = {TriggerRelationId, trigger.tgoid, 0};
  recordDependencyOn(&own, &object, DEPENDENCY_NORMAL);
}

void depend_on_columns(const Trigger& trigger, Relation table, const core::Rule& rule) {
  const auto depend = [&](AttrNumber number) {
    refuse_virtual(table, number);
    depend_on(trigger, {RelationRelationId, RelationGetRelid(table), number});
  };
  for (const core::Input& input : rule.inputs) depend(input.number);
  for (const std::int16_t number : rule.listed) depend(number);
}

void depend_on_paths(const Trigger& trigger, const PathDependencies& paths) {
  for (const Oid constraint : paths.constraints) depend_on(trigger, {ConstraintRelationId, constraint, 0});
  for (const auto& [oid, column] : paths.columns) {
    // The look-up itself asks nobody, so who attaches it must be allowed to read what it will send.
    require_select(oid, column);
    Relation table = table_open(oid, AccessShareLock);
    refuse_virtual(table, column);
    table_close(table, AccessShareLock);
    depend_on(trigger, {RelationRelationId, oid, column});
  }
}

// Only a warning: in a dump the servers may come from elsewhere.
void check_servers(const Trigger& trigger, const std::vector<std::string>& servers) {
  for (const std::string& server : servers) {
    if (OidIsValid(get_foreign_server_oid(pg::from_utf8(server), true))) continue;
    ereport(WARNING, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("server \"%s\" does not exist", pg::from_utf8(server)),
                      errdetail("Trigger \"%s\" names it in argument \"server\".", trigger.tgname),
                      errhint("Make it with CREATE SERVER ... FOREIGN DATA WRAPPER cache_invalidate.")));
  }
}

void check_arguments(const Trigger& trigger, Relation table) {
  core::TableFacts facts;
  std::vector<std::string> arguments;
  pg::guarded([&] {
    read_table_facts(table, facts);
    read_arguments(trigger, arguments);
  });
  core::Result<core::RuleSpec> spec = core::parse_rule(arguments);
  if (!spec.ok()) throw pg::ReportedError(spec.error());
  PathDependencies paths;
  ForeignSteps steps;
  for (const core::ColumnPath& path : core::foreign_paths(spec.value())) {
    const core::Result<ForeignPath> resolved = resolve_path(table, path, steps, CurrentMemoryContext, &paths);
    if (!resolved.ok()) throw pg::ReportedError(resolved.error());
    facts.paths.push_back({path, resolved.value().json_kind});
  }
  core::Result<core::Rule> rule = core::bind_rule(spec.value(), facts);
  if (!rule.ok()) throw pg::ReportedError(rule.error());
  pg::guarded([&] {
    check_servers(trigger, spec.value().servers);
    depend_on_columns(trigger, table, rule.value());
    depend_on_paths(trigger, paths);
  });
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(check_trigger) {
  if (!CALLED_AS_EVENT_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("not called by the event trigger manager")));
  }
  const auto* data = reinterpret_cast<EventTriggerData*>(fcinfo->context);
  if (!IsA(data->parsetree, CreateTrigStmt)) return PointerGetDatum(nullptr);
  auto* statement = reinterpret_cast<CreateTrigStmt*>(data->parsetree);
  Relation table = table_openrv(statement->relation, AccessShareLock);
  const Trigger* trigger = find_trigger(table, statement->trigname);
  if (trigger != nullptr && pg::is_trigger_function(trigger->tgfoid)) {
    check_table(table);
    check_timing(*trigger);
    check_arguments(*trigger, table);
  }
  table_close(table, AccessShareLock);
  return PointerGetDatum(nullptr);
}

}  // namespace cache_invalidate::capture
