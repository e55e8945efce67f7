#include "capture/rule_cache.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "capture/table_facts.hpp"
#include "capture/transaction.hpp"
#include "capture/trigger_counts.hpp"
#include "capture/vocabulary.hpp"
#include "pg/crash_point.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

using RulePointer = std::unique_ptr<CompiledRule>;

struct Cache {
  std::unordered_map<Oid, RulePointer> rules;  // by trigger
  std::vector<RulePointer> replaced;
  bool has_passing = false;                    // one that is only for this transaction
  // The last one used: most statements fire one trigger many times.
  Oid last_trigger = InvalidOid;
  CompiledRule* last = nullptr;
};

// Never destroyed: the server's exit handlers may still run our callbacks.
Cache& cache() {
  static Cache* instance = new Cache();
  return *instance;
}

// A session that fires more triggers than this starts over: bounded memory, and no bookkeeping to age entries.
constexpr std::size_t kMostRules = 10000;

void on_relation_change(Datum /*argument*/, Oid relation) {
  for (auto& [trigger, rule] : cache().rules) {
    const auto& tables = rule->tables;
    if (relation == InvalidOid || rule->relation == relation || std::find(tables.begin(), tables.end(), relation) != tables.end()) {
      rule->valid = false;
    }
  }
}

// A schema that is renamed changes no table.
void on_schema_change(Datum /*argument*/, int /*cache*/, uint32 /*hash*/) { on_relation_change(Datum(0), InvalidOid); }

// Where memory runs out the rule stays where it is: it may be in use.
void retire(RulePointer& rule) {
  note_use();
  std::vector<RulePointer>& replaced = cache().replaced;
  replaced.emplace_back();
  replaced.back() = std::move(rule);
}

void note_tables(const ForeignSteps& steps, std::vector<Oid>& tables) {
  for (const auto& step : steps) {
    tables.push_back(step->table);
    for (const ForeignTable& table : step->tables) tables.push_back(table.table);
  }
}

using Paths = std::vector<std::pair<core::ColumnPath, std::unique_ptr<ForeignPath>>>;

// Those that can be resolved, with their types for the binding.
Paths resolve_paths(CompiledRule& compiled, const core::RuleSpec& spec, Relation table, core::TableFacts& facts) {
  Paths paths;
  ForeignSteps steps;
  for (const core::ColumnPath& path : core::foreign_paths(spec)) {
    core::Result<ForeignPath> resolved = resolve_path(table, path, steps, compiled.context, nullptr);
    if (!resolved.ok()) {
      if (compiled.problem.empty()) compiled.problem = resolved.error().message + ": " + resolved.error().detail;
      if (std::strcmp(resolved.error().sqlstate, core::sqlstate::kLockNotAvailable) == 0) {
        note_use();
        compiled.for_this_transaction = cache().has_passing = true;
      }
      continue;
    }
    facts.paths.push_back({path, resolved.value().json_kind});
    paths.emplace_back(path, std::make_unique<ForeignPath>(resolved.take()));
  }
  note_tables(steps, compiled.tables);
  return paths;
}

void make_readers(CompiledRule& compiled, Relation table, Paths& paths) {
  for (const core::Input& input : compiled.rule.inputs) {
    InputReader reader{};
    if (input.is_foreign()) {
      const auto found = std::find_if(paths.begin(), paths.end(), [&](const auto& p) { return p.first == input.path; });
      if (found != paths.end()) reader.path = std::move(found->second);
      if (reader.path) reader.path->reader.only_field = input.only_field;
      compiled.has_paths = true;
    } else if (input.number != InvalidAttrNumber) {
      pg::guarded([&] { reader.column = make_reader(RelationGetDescr(table), input.number, compiled.context); });
      reader.column.only_field = input.only_field;
    }
    compiled.readers.push_back(std::move(reader));
  }
}

// Fills in what needs the table. A mistake in the arguments, or a column that is gone, becomes the rule's problem,
// not an error: the user's statement goes through.
void bind(CompiledRule& compiled, Relation table, const Trigger& trigger) {
  core::TableFacts facts;
  std::vector<std::string> arguments;
  Oid reported = InvalidOid;
  const char* context = nullptr;
  pg::guarded([&] {
    CACHE_INVALIDATE_CRASH_POINT("capture.rule", fails);
    reported = reported_table(table);
    read_table_facts(table, facts);
    read_arguments(trigger, arguments);
    const RootTrigger root = find_root_trigger(table, trigger);
    compiled.counted_as = root.oid;
    context = describe_trigger(root.name, root.table);
  });
  compiled.tables.push_back(reported);
  compiled.table = facts.table;
  compiled.context_text = context;
  const core::RuleSpec spec = core::parse_usable(arguments, compiled.problem);
  Paths paths = resolve_paths(compiled, spec, table, facts);
  core::Result<core::Rule> rule = core::bind_rule(spec, facts, &compiled.problem);
  if (!rule.ok()) throw pg::ReportedError(rule.error());
  compiled.rule = rule.take();
  for (const core::Template& key : spec.keys) compiled.globs.push_back(core::widen(key, false));
  for (const core::Template& pattern : spec.patterns) compiled.globs.push_back(core::widen(pattern, true));
  make_readers(compiled, table, paths);
  compiled.sends_messages = !compiled.rule.has_channel || !compiled.rule.channel.empty();
  const core::Rule& bound = compiled.rule;
  const Oid owner = table->rd_rel->relowner;
  const core::Shape shape{bound.format, bound.has_channel, bound.channel, bound.name, bound.payload.program, {}};
  compiled.shape = shape_number(shape, reported, owner, bound.servers);
  for (const std::string& glob : compiled.globs) compiled.scopes.push_back(scope_number(owner, bound.servers, glob));
}

// A rule that is compiled anew and says the same keeps its sources, so that their numbers do not grow with every change of a table. What
// one of another was widened to does not stand for this one.
void number_sources(CompiledRule& compiled, const CompiledRule* former) {
  static core::Source next = core::kErrorSource + 1;
  compiled.source_count = static_cast<std::uint32_t>(compiled.globs.size()) + 1;
  if (former != nullptr && former->source_count == compiled.source_count && former->scopes == compiled.scopes &&
      former->globs == compiled.globs && former->shape == compiled.shape && former->sends_messages == compiled.sends_messages) {
    compiled.first_source = former->first_source;
    return;
  }
  compiled.first_source = next;
  next += compiled.source_count;
}

CompiledRule* compile(Relation table, const Trigger& trigger) {
  Cache& known = cache();
  if (known.rules.size() >= kMostRules) {
    known.replaced.reserve(known.replaced.size() + known.rules.size());
    for (auto& [oid, rule] : known.rules) retire(rule);
    known.rules.clear();
  }
  MemoryContext context = AllocSetContextCreate(CacheMemoryContext, "cache_invalidate rule", ALLOCSET_SMALL_SIZES);
  auto fresh = std::make_unique<CompiledRule>();
  fresh->context = context;
  fresh->relation = RelationGetRelid(table);
  CompiledRule* compiled = fresh.get();
  // In the cache before it is filled, so that an invalidation that arrives meanwhile marks it; not valid
  // before it is filled, so that an error on the way leaves nothing half-made in use.
  RulePointer& place = known.rules[trigger.tgoid];
  const CompiledRule* former = place.get();
  if (place) retire(place);
  place = std::move(fresh);
  try {
    bind(*compiled, table, trigger);
    number_sources(*compiled, former);
  } catch (...) {
    compiled->valid = false;
    throw;
  }
  return compiled;
}

}  // namespace

const CompiledRule& find_rule(Relation table, const Trigger& trigger) {
  Cache& known = cache();
  if (known.last_trigger == trigger.tgoid && known.last->valid) return *known.last;
  const auto found = known.rules.find(trigger.tgoid);
  known.last_trigger = InvalidOid;
  known.last = found != known.rules.end() && found->second->valid ? found->second.get() : compile(table, trigger);
  known.last_trigger = trigger.tgoid;
  return *known.last;
}

void end_rules_of_transaction() noexcept {
  Cache& known = cache();
  if (known.has_passing) {
    for (auto& [trigger, rule] : known.rules) rule->valid = rule->valid && !rule->for_this_transaction;
    known.has_passing = false;
  }
  if (known.replaced.empty()) return;
  for (const RulePointer& rule : known.replaced) {
    if (rule && rule->context != nullptr) MemoryContextDelete(rule->context);
  }
  known.replaced.clear();
}

void watch_tables() {
  CacheRegisterRelcacheCallback(on_relation_change, Datum(0));
  CacheRegisterSyscacheCallback(NAMESPACEOID, on_schema_change, Datum(0));
}

}  // namespace cache_invalidate::capture
