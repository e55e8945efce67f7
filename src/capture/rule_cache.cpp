#include "capture/rule_cache.hpp"

#include <unordered_map>

#include "capture/table_facts.hpp"
#include "capture/vocabulary.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::capture {
namespace {

using RulePointer = std::unique_ptr<CompiledRule>;

struct Cache {
  std::unordered_map<Oid, RulePointer> rules;  // by trigger
  std::vector<RulePointer> replaced;
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
    if (relation == InvalidOid || rule->relation == relation || rule->reported == relation) rule->valid = false;
  }
}

void retire(RulePointer rule) { cache().replaced.push_back(std::move(rule)); }

// Fills in what needs the table. A mistake in the arguments becomes the rule's problem, not an error: the
// user's statement goes through.
void bind(CompiledRule& compiled, Relation table, const Trigger& trigger) {
  core::TableFacts facts;
  std::vector<std::string> arguments;
  pg::guarded([&] {
    compiled.reported = reported_table(table);
    read_table_facts(table, facts);
    read_arguments(trigger, arguments);
  });
  compiled.table = facts.table;
  compiled.context_text = "trigger of table " + facts.schema + "." + facts.table;
  core::Result<core::RuleSpec> spec = core::parse_rule(arguments);
  if (spec.ok()) {
    for (const core::Template& key : spec.value().keys) {
      const bool is_constant = key.parts().size() == 1 && !key.parts().front().has_column;
      if (is_constant) {
        compiled.constant_keys.push_back(key.parts().front().literal);
      } else {
        compiled.widened.push_back(core::widen(key, false));
      }
    }
    for (const core::Template& pattern : spec.value().patterns) compiled.widened.push_back(core::widen(pattern, true));
    compiled.rule.servers = spec.value().servers;
  }
  core::Result<core::Rule> rule = spec.ok() ? core::bind_rule(spec.value(), facts) : spec.error();
  if (!rule.ok()) {
    compiled.problem = rule.error().message;
    // What is still known: enough for a message that names the whole resource.
    compiled.rule.name = spec.ok() && spec.value().has_resource ? spec.value().resource : facts.table;
    compiled.rule.format = spec.ok() ? spec.value().format : core::Format::record;
    compiled.rule.has_channel = spec.ok() && spec.value().has_channel;
    if (compiled.rule.has_channel) compiled.rule.channel = spec.value().channel;
  } else {
    compiled.rule = rule.take();
  }
  pg::guarded([&] {
    for (const std::int16_t number : compiled.rule.columns) {
      compiled.readers.push_back(make_reader(RelationGetDescr(table), number, compiled.context));
    }
  });
  compiled.sends_messages = !compiled.rule.has_channel || !compiled.rule.channel.empty();
  compiled.shape = shape_number({compiled.rule.format, compiled.rule.has_channel, compiled.rule.channel, compiled.rule.name},
                                compiled.reported);
  compiled.scope = scope_number(table->rd_rel->relowner, compiled.rule.servers);
}

CompiledRule* compile(Relation table, const Trigger& trigger) {
  Cache& known = cache();
  if (known.rules.size() >= kMostRules) {
    for (auto& [oid, rule] : known.rules) retire(std::move(rule));
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
  if (place) retire(std::move(place));
  place = std::move(fresh);
  try {
    bind(*compiled, table, trigger);
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

void forget_replaced_rules() noexcept {
  Cache& known = cache();
  if (known.replaced.empty()) return;
  for (const RulePointer& rule : known.replaced) {
    if (rule && rule->context != nullptr) MemoryContextDelete(rule->context);
  }
  known.replaced.clear();
}

void watch_tables() { CacheRegisterRelcacheCallback(on_relation_change, Datum(0)); }

}  // namespace cache_invalidate::capture
