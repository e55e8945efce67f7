#include "capture/manual.hpp"

#include <set>
#include <string>
#include <vector>

#include "capture/all_triggers.hpp"
#include "capture/scope_values.hpp"
#include "capture/table_facts.hpp"
#include "capture/transaction.hpp"
#include "capture/vocabulary.hpp"
#include "core/expand.hpp"
#include "core/key_families.hpp"
#include "pg/foreign_servers.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

bool is_enabled(const List* server_options) {
  const ListCell* cell;
  foreach (cell, server_options) {
    auto* option = static_cast<DefElem*>(lfirst(cell));
    if (strcmp(option->defname, "enabled") == 0) return defGetBoolean(option);
  }
  return true;
}

// Never destroyed: the server's exit handlers may still run our callbacks.
core::KeyFamilies& families() {
  static core::KeyFamilies* instance = new core::KeyFamilies();
  return *instance;
}

// What the trigger notes, its table open, when it stands for a whole resource.
class ResourceNoter {
 public:
  ResourceNoter(const FoundTrigger& trigger, const core::RuleSpec& spec, Jsonb* scope, int level)
      : trigger_(trigger), spec_(spec), scope_(scope), level_(level) {}

  // Adds the table's columns to `columns`. False: the table is gone.
  bool note(std::set<std::string>& columns) {
    Relation table = nullptr;
    core::TableFacts facts;
    Oid reported = InvalidOid;
    pg::guarded([&] {
      table = try_relation_open(trigger_.relation, AccessShareLock);
      if (table == nullptr) return;
      read_table_facts(table, facts);
      reported = reported_table(table);
    });
    if (table == nullptr) return false;
    for (const core::ColumnFacts& column : facts.columns) columns.insert(column.name);
    std::string problem;
    const core::Result<core::Rule> rule = core::bind_rule(spec_, facts, &problem);
    if (!rule.ok()) throw pg::ReportedError(rule.error());
    const std::vector<core::Value> values = read_values(table, rule.value());
    add_items(rule.value(), values);
    add_message(rule.value(), reported);
    pg::guarded([&] { relation_close(table, AccessShareLock); });
    return true;
  }

 private:
  std::vector<core::Value> read_values(Relation table, const core::Rule& rule) const {
    std::vector<core::Value> values;
    for (const core::Input& input : rule.inputs) {
      core::Value value;
      value.state = core::Value::State::unknown;
      if (scope_ != nullptr && !input.is_foreign() && input.number != InvalidAttrNumber) {
        pg::guarded([&] { value = read_scope_value(table, input.number, scope_); });
      }
      values.push_back(value);
    }
    return values;
  }

  void add_items(const core::Rule& rule, const std::vector<core::Value>& values) const {
    std::string item;
    for (std::size_t i = 0; i < rule.keys.size(); ++i) {
      const core::Expansion expansion = core::expand(rule.keys[i], values.data(), item);
      if (expansion == core::Expansion::none) continue;
      const std::uint32_t scope = scope_number(GetUserId(), rule.servers, core::widen(spec_.keys[i], false));
      if (expansion == core::Expansion::exact) {
        changes().add_key(scope, item, level_);
      } else {
        changes().add_pattern(scope, item, level_);
      }
    }
    for (std::size_t i = 0; i < rule.patterns.size(); ++i) {
      if (core::expand_glob(rule.patterns[i], values.data(), item) == core::Expansion::none) continue;
      changes().add_pattern(scope_number(GetUserId(), rule.servers, core::widen(spec_.patterns[i], true)), item, level_);
    }
  }

  void add_message(const core::Rule& rule, Oid reported) const {
    if (rule.has_channel && rule.channel.empty()) return;
    const core::Shape shape{rule.format, rule.has_channel, rule.channel, rule.name, rule.payload.program, {}};
    const std::uint32_t number = shape_number(shape, reported, GetUserId(), rule.servers);
    changes().add_change(number, {}, core::Operation::update, {}, level_, {false});
  }

  const FoundTrigger& trigger_;
  const core::RuleSpec& spec_;
  Jsonb* scope_;
  const int level_;
};

void tell_strangers(const char* resource, Jsonb* scope, const std::set<std::string>& columns) {
  JsonbIterator* members = nullptr;
  pg::guarded([&] { members = JsonbIteratorInit(&scope->root); });
  JsonbIteratorToken token = WJB_BEGIN_OBJECT;
  while (token != WJB_DONE) {
    const char* name = nullptr;
    const char* utf8 = nullptr;
    pg::guarded([&] {
      JsonbValue member;
      token = JsonbIteratorNext(&members, &member, true);
      if (token != WJB_KEY) return;
      name = pnstrdup(member.val.string.val, static_cast<Size>(member.val.string.len));
      utf8 = pg::to_utf8_anyhow(name);
    });
    if (name == nullptr || columns.count(utf8) > 0) continue;
    pg::guarded([&] {
      ereport(NOTICE, (errmsg("no table of resource \"%s\" has a column \"%s\"", pg::from_utf8_anyhow(resource), name),
                       errdetail("The member of the scope is ignored.")));
    });
  }
}

// By which messages of the trigger call what they are about.
std::string resource_of(const FoundTrigger& trigger, const core::RuleSpec& spec) {
  if (spec.has_resource) return spec.resource;
  const char* name = trigger.table;
  pg::guarded([&] {
    if (!get_rel_relispartition(trigger.relation)) return;
    const List* ancestors = get_partition_ancestors(trigger.relation);
    const char* root = ancestors == NIL ? nullptr : get_rel_name(llast_oid(ancestors));
    if (root != nullptr) name = pg::to_utf8_anyhow(root);
  });
  return name;
}

}  // namespace

const char* first_enabled_server(Oid wrapper) {
  const char* first = nullptr;
  for (const pg::ServerRow& server : pg::read_servers(wrapper)) {
    if (is_enabled(server.options) && (first == nullptr || strcmp(server.name, first) < 0)) first = server.name;
  }
  return first;
}

Reach reach_of_user(Oid wrapper) {
  const std::uint32_t everything = scope_number(GetUserId(), {}, "*");
  const core::Vocabulary* vocabulary = resolved_vocabulary();
  if (vocabulary == nullptr) return Reach::nobody;
  for (const std::uint32_t oid : vocabulary->scopes[everything].servers) {
    const ForeignServer* server = GetForeignServerExtended(oid, FSV_MISSING_OK);
    if (server != nullptr && is_enabled(server->options)) return Reach::some;
  }
  return first_enabled_server(wrapper) != nullptr ? Reach::forbidden : Reach::nobody;
}

void note_key(const char* key) {
  changes().add_key(scope_number(GetUserId(), {}, families().of_key(key)), key, GetCurrentTransactionNestLevel());
}

void note_pattern(const char* glob) {
  changes().add_pattern(scope_number(GetUserId(), {}, families().of_glob(glob)), glob, GetCurrentTransactionNestLevel());
}

int note_resource(const char* resource, Jsonb* scope) {
  FoundTriggers triggers;
  int level = 0;
  pg::guarded([&] {
    triggers = find_triggers(Which::enabled);
    level = GetCurrentTransactionNestLevel();
  });
  int noted = 0;
  std::set<std::string> columns;
  for (int i = 0; i < triggers.count; ++i) {
    const FoundTrigger& trigger = triggers.first[i];
    if (is_repeated(triggers, trigger, false)) continue;
    std::string problem;
    const core::RuleSpec spec = usable_arguments(trigger, problem);
    if (resource_of(trigger, spec) == resource && ResourceNoter(trigger, spec, scope, level).note(columns)) ++noted;
  }
  if (noted > 0 && scope != nullptr) tell_strangers(resource, scope, columns);
  pg::guarded([] { changes_added(); });
  return noted;
}

}  // namespace cache_invalidate::capture
