#include "admin/rule_check.hpp"

#include <algorithm>
#include <cstring>

#include "capture/foreign_path.hpp"
#include "pg/attempt.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

std::string create_anew(const capture::FoundTrigger& trigger, const char* how) {
  return std::string("DROP TRIGGER ") + trigger.quoted + " ON " + trigger.quoted_table + " and create it again " + how;
}

std::string quoted(const std::string& name) {
  const char* text = nullptr;
  pg::guarded([&] { text = quote_identifier(name.c_str()); });
  return text;
}

Finding check_firing(const capture::FoundTrigger& trigger) {
  if (trigger.enabled == TRIGGER_DISABLED) {
    return {"it is disabled", std::string("ALTER TABLE ") + trigger.quoted_table + " ENABLE TRIGGER " + trigger.quoted};
  }
  const bool truncate = (trigger.type & TRIGGER_TYPE_EVENT_MASK) == TRIGGER_TYPE_TRUNCATE;
  if (TRIGGER_FOR_AFTER(trigger.type) && truncate != static_cast<bool>(TRIGGER_FOR_ROW(trigger.type))) return {};
  return {"it is neither AFTER ... FOR EACH ROW nor AFTER TRUNCATE ... FOR EACH STATEMENT: it fails whatever fires it",
          create_anew(trigger, "as AFTER ... FOR EACH ROW")};
}

void collect(const core::Template& source, std::vector<std::string>& names) {
  for (const core::TemplatePart& part : source.parts()) {
    if (!part.placeholder.path.empty()) names.push_back(part.placeholder.path.front());
  }
}

// The columns of the table itself that the rule names.
std::vector<std::string> named_columns(const core::RuleSpec& spec) {
  std::vector<std::string> names;
  for (const core::Template& key : spec.keys) collect(key, names);
  for (const core::Template& pattern : spec.patterns) collect(pattern, names);
  collect(spec.id, names);
  for (const core::FieldSpec& field : spec.fields) names.push_back(field.path.front());
  for (const core::PayloadMember& member : spec.payload) {
    for (const core::PayloadPiece& piece : member) {
      if (!piece.placeholder.path.empty()) names.push_back(piece.placeholder.path.front());
    }
  }
  names.insert(names.end(), spec.columns.begin(), spec.columns.end());
  names.insert(names.end(), spec.ignore.begin(), spec.ignore.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Its number; 0: there is none.
AttrNumber find_column(Oid table, const std::string& name, bool& is_virtual) {
  AttrNumber number = InvalidAttrNumber;
  pg::guarded([&] {
    HeapTuple tuple = SearchSysCacheAttName(table, pg::from_utf8_anyhow(name.c_str()));
    if (!HeapTupleIsValid(tuple)) return;
    const auto* row = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    number = row->attnum > 0 ? row->attnum : InvalidAttrNumber;
    is_virtual = row->attgenerated == pg::kVirtualColumn;
    ReleaseSysCache(tuple);
  });
  return number;
}

// The paths that can be resolved, and those of which it cannot be told without waiting.
Finding check_paths(const capture::FoundTrigger& trigger, const std::vector<core::ColumnPath>& paths, core::TableFacts& facts) {
  Finding found;
  const char* failure = pg::attempt([&] {
    Relation table = ConditionalLockRelationOid(trigger.relation, AccessShareLock) ? try_relation_open(trigger.relation, NoLock) : nullptr;
    capture::ForeignSteps steps;
    for (const core::ColumnPath& path : paths) {
      if (table != nullptr) {
        const auto resolved = capture::resolve_path(table, path, steps, CurrentMemoryContext, nullptr);
        const bool is_locked = !resolved.ok() && std::strcmp(resolved.error().sqlstate, core::sqlstate::kLockNotAvailable) == 0;
        if (!resolved.ok() && !is_locked) {
          found.problem = resolved.error().message + ": " + resolved.error().detail;
          break;
        }
      }
      facts.paths.push_back({path, core::JsonKind::text});
    }
    if (table != nullptr) relation_close(table, AccessShareLock);
  });
  if (failure != nullptr) found.problem = pg::to_utf8_anyhow(failure);
  if (!found.problem.empty()) found.cure = create_anew(trigger, "with placeholders that lead over foreign keys that are there");
  return found;
}

}  // namespace

RuleCheck::RuleCheck(Oid wrapper) {
  pg::guarded([&] {
    rows_ = pg::read_servers(wrapper);
    for (const pg::ServerRow& row : rows_) {
      bool enabled = true;
      bool publishes = false;
      const ListCell* cell;
      foreach (cell, row.options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        bool value = true;
        if (strcmp(option->defname, "enabled") == 0 && parse_bool(defGetString(option), &value)) enabled = value;
        if (strcmp(option->defname, "publish_channel") == 0) publishes = defGetString(option)[0] != '\0';
      }
      servers_.push_back({&row, row.name, enabled, publishes});
    }
  });
  std::sort(servers_.begin(), servers_.end(), [](const Server& a, const Server& b) { return a.name < b.name; });
}

const RuleCheck::Server* RuleCheck::find(const std::string& name) const {
  const auto found = std::find_if(servers_.begin(), servers_.end(), [&name](const Server& server) { return server.name == name; });
  return found == servers_.end() ? nullptr : &*found;
}

const std::vector<bool>& RuleCheck::usable_by(Oid owner) {
  const auto known = usable_.find(owner);
  if (known != usable_.end()) return known->second;
  std::vector<bool> usable;
  for (const Server& server : servers_) {
    bool may = false;
    pg::guarded([&] { may = pg::may_use(*server.row, owner); });
    usable.push_back(may);
  }
  return usable_.emplace(owner, std::move(usable)).first->second;
}

Finding RuleCheck::check_columns(const capture::FoundTrigger& trigger, const core::RuleSpec& spec) const {
  core::TableFacts facts;
  facts.schema = trigger.schema;
  facts.table = trigger.table;
  for (const std::string& name : named_columns(spec)) {
    bool is_virtual = false;
    const AttrNumber number = find_column(trigger.relation, name, is_virtual);
    if (is_virtual) {
      return {"column \"" + name + "\" of table \"" + facts.table + "\" is a virtual generated column: its value does not exist when the trigger fires",
              "Make it STORED, or name the columns that it is computed from."};
    }
    if (number != InvalidAttrNumber) facts.columns.push_back({name, number, core::JsonKind::text});
  }
  const std::vector<core::ColumnPath> paths = core::foreign_paths(spec);
  if (!paths.empty()) {
    Finding found = check_paths(trigger, paths, facts);
    if (!found.problem.empty()) return found;
  }
  const core::Result<core::Rule> bound = core::bind_rule(spec, facts);
  if (bound.ok()) return {};
  return {bound.error().message, create_anew(trigger, "with columns that the table has")};
}

Finding RuleCheck::check_servers(const capture::FoundTrigger& trigger, const core::RuleSpec& spec) {
  std::vector<const Server*> named;
  for (const std::string& name : spec.servers) {
    const Server* server = find(pg::from_utf8_anyhow(name.c_str()));
    bool is_other = false;
    pg::guarded([&] { is_other = server == nullptr && OidIsValid(get_foreign_server_oid(pg::from_utf8_anyhow(name.c_str()), true)); });
    if (is_other) {
      return {"server \"" + name + "\" is not of foreign-data wrapper \"cache_invalidate\"",
              create_anew(trigger, "with a server of foreign-data wrapper cache_invalidate")};
    }
    if (server == nullptr) {
      return {"server \"" + name + "\" does not exist",
              "CREATE SERVER " + quoted(name) + " FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://...')"};
    }
    named.push_back(server);
  }
  if (spec.servers.empty()) {
    for (const Server& server : servers_) named.push_back(&server);
  }
  named.erase(std::remove_if(named.begin(), named.end(), [](const Server* server) { return !server->enabled; }), named.end());
  const std::vector<bool>& usable = usable_by(trigger.owner);
  std::vector<const Server*> reached;
  for (const Server* server : named) {
    if (usable[static_cast<std::size_t>(server - servers_.data())]) reached.push_back(server);
  }
  const bool deletes = !spec.keys.empty() || !spec.patterns.empty();
  if (!deletes || named.empty() || !reached.empty()) return check_sending(spec, reached);
  const char* owner = nullptr;
  pg::guarded([&] {
    const char* name = GetUserNameFromId(trigger.owner, true);
    owner = pg::to_utf8_anyhow(quote_identifier(name != nullptr ? name : "?"));
  });
  std::string names;
  for (const Server* server : named) names += (names.empty() ? "" : ", ") + std::string(pg::to_utf8_anyhow(quoted(server->name).c_str()));
  return {"the table's owner, " + std::string(owner) + ", has no USAGE on any server that its keys would go to",
          "GRANT USAGE ON FOREIGN SERVER " + names + " TO " + owner};
}

// Can anything leave at all?
Finding RuleCheck::check_sending(const core::RuleSpec& spec, const std::vector<const Server*>& reached) const {
  const bool is_switched_off = spec.has_channel && spec.channel.empty();
  const bool deletes = !spec.keys.empty() || !spec.patterns.empty();
  const bool notifies = spec.has_channel ? !spec.channel.empty() : settings::notify_channel[0] != '\0';
  const bool publishes = !is_switched_off && std::any_of(reached.begin(), reached.end(), [](const Server* s) { return s->publishes; });
  if ((deletes && !reached.empty()) || notifies || publishes) return {};
  const char* silence = is_switched_off ? "its channel is empty" : "cache_invalidate.notify_channel is empty";
  if (!deletes) {
    return {std::string("it sends nothing: it names neither a key nor a pattern, and ") + silence,
            "Give it an argument \"key\" or \"pattern\", or a channel."};
  }
  return {std::string("it sends nothing: no server is there and enabled for its keys, and ") + silence,
          "CREATE SERVER ... FOREIGN DATA WRAPPER cache_invalidate, or enable one with ALTER SERVER ... OPTIONS (SET enabled 'true')"};
}

Finding RuleCheck::check(const capture::FoundTrigger& trigger, const core::RuleSpec& spec, const core::Error* mistake) {
  Finding found = check_firing(trigger);
  if (found.problem.empty() && mistake != nullptr) {
    found = {mistake->detail.empty() ? mistake->message : mistake->message + ": " + mistake->detail,
             create_anew(trigger, "with arguments that are right")};
  }
  if (found.problem.empty()) found = check_columns(trigger, spec);
  if (found.problem.empty()) found = check_servers(trigger, spec);
  return found;
}

}  // namespace cache_invalidate::admin
