// notify_cache_invalidation(): notes what a change makes stale. Runs in the writer's backend, once a row, and once
// for a TRUNCATE.
//
// Per row: no SQL, no subtransaction, and no allocation of ours in the steady state. What cannot be computed
// does not fail the statement: it is widened and written to the error log.
#include <algorithm>
#include <string>

#include "capture/rule_cache.hpp"
#include "capture/transaction.hpp"
#include "core/expand.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::capture {
namespace {

// Reused from row to row. Never destroyed: a jump may pass while it is in use.
struct Scratch {
  std::string text;
  std::string fields;
  std::string other;
};
Scratch& scratch() {
  static Scratch* instance = new Scratch();
  return *instance;
}

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

void add_keys(const CompiledRule& rule, const core::Value* values, int level) {
  std::string& key = scratch().text;
  for (const core::BoundTemplate& source : rule.rule.keys) {
    if (core::expand(source, values, key)) changes().add_key(rule.scope, key, level);
  }
  for (const core::BoundTemplate& source : rule.rule.patterns) {
    if (core::expand_glob(source, values, key)) changes().add_pattern(rule.scope, key, level);
  }
}

// The record's message; a record whose id changed is one that went and one that came.
void add_messages(const CompiledRule& rule, core::Operation operation, const core::Value* before,
                  const core::Value* after, int level) {
  Scratch& s = scratch();
  const core::Value* newest = after != nullptr ? after : before;
  if (rule.rule.id.empty() || !core::expand(rule.rule.id, newest, s.text)) s.text.clear();
  if (operation == core::Operation::update && before != nullptr && before != after && !rule.rule.id.empty()) {
    if (!core::expand(rule.rule.id, before, s.other)) s.other.clear();
    if (s.other.empty()) {
      changes().add_change(rule.shape, "", core::Operation::update, "", level, false);
    } else if (s.other != s.text) {
      core::render_fields(rule.rule.fields, before, s.fields);
      changes().add_change(rule.shape, s.other, core::Operation::remove, s.fields, level, core::is_exact_id(rule.rule, s.other));
      operation = core::Operation::insert;
    }
  }
  core::render_fields(rule.rule.fields, newest, s.fields);
  // Without an id there is no record to fold by: each message speaks of the whole resource.
  if (s.text.empty()) operation = core::Operation::update;
  changes().add_change(rule.shape, s.text, operation, s.text.empty() ? std::string_view() : s.fields, level,
                       core::is_exact_id(rule.rule, s.text));
}

// Which rows changed cannot be told: everything that the rule could ever name is stale.
void add_everything(const CompiledRule& rule, core::Operation operation, int level) {
  for (const std::string& key : rule.constant_keys) changes().add_key(rule.scope, key, level);
  for (const std::string& glob : rule.widened) changes().add_pattern(rule.scope, glob, level);
  if (rule.sends_messages) changes().add_change(rule.shape, "", operation, "", level);
}

// Nothing exact can be said of this row, and why goes to the error log.
void add_problem(const CompiledRule& rule, core::Operation operation, const char* problem, int level) {
  changes().add_error({rule.table, core::operation_name(operation), problem, rule.context_text}, level);
  add_everything(rule, core::Operation::update, level);
}

void capture_change(const TriggerData& data) {
  const CompiledRule& rule = find_rule(data.tg_relation, *data.tg_trigger);
  const core::Operation operation = operation_of(data.tg_event);
  const int level = GetCurrentTransactionNestLevel();
  if (!rule.problem.empty()) {
    add_problem(rule, operation, rule.problem.c_str(), level);
    return;
  }
  if (operation == core::Operation::truncate) {
    add_everything(rule, operation, level);
    return;
  }
  TupleTableSlot* first = data.tg_trigslot;
  TupleTableSlot* second = operation == core::Operation::update ? data.tg_newslot : nullptr;
  if (second != nullptr && !rule.rule.any_change &&
      !any_changed(RelationGetDescr(data.tg_relation), rule.rule.significant.data(), rule.rule.significant.size(), first,
                   second)) {
    return;
  }
  const int count = static_cast<int>(rule.readers.size());
  const Size size = sizeof(core::Value) * static_cast<Size>(std::max(count, 1));
  auto* before = static_cast<core::Value*>(palloc(size));
  core::Value* after = nullptr;
  const char* problem = nullptr;
  bool readable = read_row(rule.readers.data(), count, first, before, &problem);
  if (second != nullptr) {
    after = before;
    if (readable && !same_image(rule.readers.data(), count, first, second)) {
      after = static_cast<core::Value*>(palloc(size));
      readable = read_row(rule.readers.data(), count, second, after, &problem);
    }
  }
  if (!readable) {
    add_problem(rule, operation, problem, level);
    return;
  }
  add_keys(rule, before, level);
  if (after != nullptr && after != before) add_keys(rule, after, level);
  if (rule.sends_messages) add_messages(rule, operation, before, after, level);
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
