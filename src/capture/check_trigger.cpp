// The event trigger that checks CREATE TRIGGER: a mistake in the arguments is told to who makes it, when he
// makes it, and the columns that the arguments name become dependencies of the trigger.
#include "capture/check_trigger.hpp"

#include <string>
#include <vector>

#include "capture/blind_spots.hpp"
#include "capture/event_trigger.hpp"
#include "capture/table_facts.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// The trigger, or nullptr. A copy: the relcache may build its own anew at each look into the catalogs.
const Trigger* find_trigger(Relation table, const char* name) {
  if (table->trigdesc == nullptr) return nullptr;
  const TriggerDesc* triggers = CopyTriggerDesc(table->trigdesc);
  for (int i = 0; i < triggers->numtriggers; ++i) {
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

// Throws what is wrong with them.
void check_arguments(const Trigger& trigger, Relation table) {
  PathDependencies paths;
  core::Result<core::Rule> rule = bind_trigger(trigger, table, &paths);
  if (!rule.ok()) throw pg::ReportedError(rule.error());
  pg::guarded([&] {
    check_servers(trigger, rule.value().servers);
    depend_on_columns(trigger, table, rule.value());
    depend_on_paths(trigger, paths);
  });
}

// `schema`: of a statement inside CREATE SCHEMA that names none.
void check_statement(const CreateTrigStmt& statement, const char* schema) {
  RangeVar name = *statement.relation;
  if (name.schemaname == nullptr) name.schemaname = const_cast<char*>(schema);
  Relation table = table_openrv(&name, AccessShareLock);
  const Trigger* trigger = find_trigger(table, statement.trigname);
  if (trigger != nullptr && pg::is_trigger_function(trigger->tgfoid)) {
    check_table(table);
    check_timing(*trigger);
    check_arguments(*trigger, table);
    if (TRIGGER_FOR_ROW(trigger->tgtype)) warn_of_blind_spots(*trigger, table);
  }
  table_close(table, AccessShareLock);
}

void check_schema(const CreateSchemaStmt& statement) {
  const char* schema = statement.schemaname != nullptr ? statement.schemaname : get_rolespec_name(statement.authrole);
  ListCell* cell;
  foreach (cell, statement.schemaElts) {
    const auto* element = static_cast<const Node*>(lfirst(cell));
    if (IsA(element, CreateTrigStmt)) check_statement(*reinterpret_cast<const CreateTrigStmt*>(element), schema);
  }
}

}  // namespace

core::Result<core::Rule> bind_trigger(const Trigger& trigger, Relation table, PathDependencies* paths) {
  core::TableFacts facts;
  std::vector<std::string> arguments;
  pg::guarded([&] {
    read_table_facts(table, facts);
    read_arguments(trigger, arguments);
  });
  core::Result<core::RuleSpec> spec = core::parse_rule(arguments);
  if (!spec.ok()) return spec.error();
  ForeignSteps steps;
  for (const core::ColumnPath& path : core::foreign_paths(spec.value())) {
    const core::Result<ForeignPath> resolved = resolve_path(table, path, steps, CurrentMemoryContext, paths);
    if (!resolved.ok()) return resolved.error();
    facts.paths.push_back({path, resolved.value().json_kind});
  }
  return core::bind_rule(spec.value(), facts);
}

CACHE_INVALIDATE_FUNCTION(check_trigger) {
  const Node* statement = event_trigger_data(fcinfo).parsetree;
  if (IsA(statement, CreateTrigStmt)) check_statement(*reinterpret_cast<const CreateTrigStmt*>(statement), nullptr);
  if (IsA(statement, CreateSchemaStmt)) check_schema(*reinterpret_cast<const CreateSchemaStmt*>(statement));
  return PointerGetDatum(nullptr);
}

}  // namespace cache_invalidate::capture
