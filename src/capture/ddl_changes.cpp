#include "capture/ddl_changes.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "capture/row_changes.hpp"
#include "capture/table_changes.hpp"
#include "capture/table_facts.hpp"
#include "capture/transaction.hpp"
#include "capture/trigger_counts.hpp"
#include "pg/attempt.hpp"
#include "pg/extension.hpp"
#include "pg/privileges.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::capture {
namespace {

object_access_hook_type previous_object_access = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;

// What the TRUNCATE that is running truncates; nullptr: none is.
std::vector<Oid>* truncated = nullptr;

// A trigger that this transaction dropped; its table may follow, mostly in the same command. The rule stays valid
// until the transaction ends, see rule_cache.hpp. A savepoint that is rolled back leaves it: what is dropped after all is
// then noted by the rule of before.
struct DroppedTrigger {
  Oid trigger;
  const CompiledRule* rule;  // nullptr: could not be compiled
  std::string problem;       // why
  std::string name;          // as describe_trigger() says
};
using DroppedTriggers = std::unordered_map<Oid, std::vector<DroppedTrigger>>;  // by table

// Never destroyed: the server's exit handlers may still run our callbacks.
DroppedTriggers& dropped() {
  static auto* instance = new DroppedTriggers();
  return *instance;
}

// ---- TRUNCATE

struct ClassFacts {
  bool may_have_triggers;
  char kind;
};

ClassFacts read_class(Oid table) {
  ClassFacts facts{};
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple)) return facts;
  const auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  facts = {row->relhastriggers, row->relkind};
  ReleaseSysCache(tuple);
  return facts;
}

void note_truncated(Oid oid) {
  Relation table = try_relation_open(oid, AccessShareLock);
  if (table == nullptr) return;
  if (table->rd_createSubid == InvalidSubTransactionId) note_table_change(table, core::Operation::truncate);
  relation_close(table, AccessShareLock);
}

// Of a table that the statement names the server asks before it locks it, so that its rows and triggers are not
// known for certain yet; of partitions, children and tables found by CASCADE, afterwards.
void on_truncate(Oid oid) {
  if (!settings::enabled) return;
  const ClassFacts facts = read_class(oid);
  if (facts.kind == RELKIND_PARTITIONED_TABLE) return;  // its partitions speak for themselves
  if (pg::holds_table_lock(oid, AccessExclusiveLock)) {
    if (!facts.may_have_triggers) return;
    Relation table = relation_open(oid, NoLock);
    const bool is_empty = !may_have_rows(table);
    relation_close(table, NoLock);
    if (is_empty) return;
  }
  if (truncated == nullptr) {
    note_truncated(oid);  // by somebody who calls the server's functions directly
  } else if (std::find(truncated->begin(), truncated->end(), oid) == truncated->end()) {
    truncated->push_back(oid);
  }
}

template <typename Function>
void run_truncate(Function&& statement) {
  std::vector<Oid> tables;
  struct Scope {
    std::vector<Oid>* outer;
    ~Scope() { truncated = outer; }
  };
  {
    const Scope scope{std::exchange(truncated, &tables)};
    pg::guarded(statement);
  }
  for (const Oid table : tables) pg::guarded([&] { note_truncated(table); });
}

// ---- DROP

void remember(Relation table, const Trigger& trigger) {
  const CompiledRule* rule = nullptr;
  const char* problem = pg::attempt([&] { rule = &find_rule(table, trigger); });
  std::vector<DroppedTrigger>& triggers = dropped()[RelationGetRelid(table)];
  const auto is_same = [&trigger](const DroppedTrigger& known) { return known.trigger == trigger.tgoid; };
  auto place = std::find_if(triggers.begin(), triggers.end(), is_same);
  if (place == triggers.end()) place = triggers.insert(place, DroppedTrigger{trigger.tgoid, nullptr, {}, {}});
  place->rule = rule;
  const char* name = nullptr;
  pg::guarded([&] {
    const RootTrigger root = find_root_trigger(table, trigger);
    name = describe_trigger(root.name, root.table);
  });
  place->name = name;
  place->problem = problem != nullptr ? problem : "";
}

// Triggers go before their table, which is then locked already; a table that is not will stay.
void on_drop_trigger(Oid oid) {
  if (!settings::enabled) return;
  const Oid table_oid = find_table_of_trigger(oid);
  if (!OidIsValid(table_oid) || !pg::holds_table_lock(table_oid, AccessExclusiveLock)) return;
  Relation table = relation_open(table_oid, NoLock);
  const Trigger* trigger = may_have_rows(table) ? find_trigger(table, oid) : nullptr;
  if (trigger != nullptr && fires_for_rows(*trigger)) remember(table, *trigger);
  relation_close(table, NoLock);
}

void on_drop_table(Oid table) {
  const auto found = dropped().find(table);
  if (found == dropped().end()) return;
  const std::vector<DroppedTrigger>& triggers = found->second;
  const char* name = nullptr;
  const char* problem = pg::attempt([&] {
    const int level = GetCurrentTransactionNestLevel();
    for (const DroppedTrigger& trigger : triggers) {
      if (trigger.rule == nullptr) continue;
      name = trigger.name.c_str();
      count_table_change(*trigger.rule, note_table(*trigger.rule, core::Operation::remove, changes(), level), level);
    }
    changes_added();
  });
  for (const DroppedTrigger& trigger : triggers) {
    if (trigger.rule != nullptr) continue;
    problem = trigger.problem.c_str();
    name = trigger.name.c_str();
  }
  if (problem != nullptr) report_uncaptured(table, name, core::Operation::remove, problem);
}

void on_transaction(XactEvent event, void* /*argument*/) {
  switch (event) {
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
      dropped().clear();
      break;
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
      break;
  }
}

// ---- DETACH PARTITION CONCURRENTLY

bool detaches_concurrently(const AlterTableStmt& statement) {
  ListCell* cell;
  foreach (cell, statement.cmds) {
    const auto* command = static_cast<const AlterTableCmd*>(lfirst(cell));
    if (command->subtype == AT_DetachPartition && reinterpret_cast<const PartitionCmd*>(command->def)->concurrent) return true;
  }
  return false;
}

// The rows are out of the parent's sight when the first of the statement's two transactions has committed, and that
// may be long before its end: so it is noted in the first. Whether there are any can't be told while others write.
void note_concurrent_detach(const AlterTableStmt& statement) {
  if (!settings::enabled || !detaches_concurrently(statement)) return;
  const Oid oid = RangeVarGetRelid(statement.relation, NoLock, true);
  if (!OidIsValid(oid) || !pg::owns_relation(oid, GetUserId())) return;
  Relation table = try_relation_open(oid, AccessShareLock);
  if (table == nullptr) return;
  note_table_change(table, core::Operation::update);
  relation_close(table, AccessShareLock);
}

// ---- The hooks

void on_object_access(ObjectAccessType access, Oid catalog, Oid object, int sub, void* argument) {
  if (previous_object_access != nullptr) previous_object_access(access, catalog, object, sub, argument);
  if (access == OAT_TRUNCATE) {
    on_truncate(object);
  } else if (access == OAT_DROP && catalog == TriggerRelationId) {
    on_drop_trigger(object);
  } else if (access == OAT_DROP && catalog == RelationRelationId && sub == 0) {
    on_drop_table(object);
  }
}

void on_utility(PlannedStmt* planned, const char* text, bool read_only_tree, ProcessUtilityContext context,
                ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* receiver,
                QueryCompletion* completion) {
  const Node* statement = planned->utilityStmt;
  const auto execute = [&] {
    const ProcessUtility_hook_type next = previous_utility != nullptr ? previous_utility : standard_ProcessUtility;
    next(planned, text, read_only_tree, context, parameters, environment, receiver, completion);
  };
  if (IsA(statement, TruncateStmt)) {
    run_truncate(execute);
    return;
  }
  if (IsA(statement, AlterTableStmt)) note_concurrent_detach(*reinterpret_cast<const AlterTableStmt*>(statement));
  execute();
}

}  // namespace

void watch_ddl_changes() {
  RegisterXactCallback(pg::Entry<&on_transaction>::call, nullptr);
  previous_object_access = object_access_hook;
  object_access_hook = pg::Entry<&on_object_access>::call;
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = pg::Entry<&on_utility>::call;
}

}  // namespace cache_invalidate::capture
