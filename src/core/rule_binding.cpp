// bind_rule(): from the names of a RuleSpec to the columns of a table.
#include <algorithm>

#include "core/rule.hpp"

namespace cache_invalidate::core {
namespace {

class Binder {
 public:
  Binder(const TableFacts& table, Rule& rule, std::string* problem) : table_(table), rule_(rule), problem_(problem) {}

  const ColumnFacts* find(const std::string& name) const {
    for (const ColumnFacts& column : table_.columns) {
      if (column.name == name) return &column;
    }
    return nullptr;
  }

  Error no_column(std::string_view argument, const std::string& name) const {
    Error error;
    error.sqlstate = sqlstate::kUndefinedColumn;
    error.message = "column \"" + name + "\" of table \"" + table_.table + "\" does not exist";
    error.detail = "Argument \"" + std::string(argument) + "\" of the trigger names it.";
    error.hint = "Columns of the table are ";
    for (std::size_t i = 0; i < table_.columns.size(); ++i) {
      error.hint += (i == 0 ? "\"" : ", \"") + table_.columns[i].name + "\"";
    }
    error.hint += ".";
    return error;
  }

  // The place of the value among those that the row reader fetches, and its JSON type.
  Result<BoundColumn> use(std::string_view argument, const ColumnPath& path) {
    BoundColumn bound{0, JsonKind::text};
    std::int16_t number = 0;
    const ColumnFacts* column = find(path.front());
    const auto known = std::find_if(table_.paths.begin(), table_.paths.end(), [&](const PathFacts& p) { return p.path == path; });
    if (column == nullptr) {
      if (!tolerates(no_column(argument, path.front()))) return no_column(argument, path.front());
    } else if (path.size() > 1 && known == table_.paths.end()) {
      if (!tolerates(unknown_path(argument, path))) return unknown_path(argument, path);
    } else {
      number = column->number;
      bound.json_kind = path.size() > 1 ? known->json_kind : column->json_kind;
    }
    const auto found = std::find_if(rule_.inputs.begin(), rule_.inputs.end(), [&](const Input& i) { return i.path == path; });
    bound.input = static_cast<int>(found - rule_.inputs.begin());
    if (found == rule_.inputs.end()) rule_.inputs.push_back({path, number, true});
    const bool in_key = argument == "key" || argument == "pattern" || argument == "id";
    if (in_key) rule_.inputs[static_cast<std::size_t>(bound.input)].only_field = false;
    return bound;
  }

  Result<BoundTemplate> bind(std::string_view argument, const Template& source) {
    BoundTemplate bound;
    for (const TemplatePart& part : source.parts()) {
      BoundPart target;
      target.literal = part.literal;
      if (part.has_placeholder) {
        const Result<BoundColumn> used = use(argument, part.placeholder.path);
        if (!used.ok()) return used.error();
        target.input = used.value().input;
      }
      bound.push_back(std::move(target));
    }
    return bound;
  }

  Result<bool> bind_significant(std::string_view argument, const std::vector<std::string>& names) {
    std::vector<std::int16_t> named;
    for (const std::string& name : names) {
      const ColumnFacts* column = find(name);
      if (column != nullptr) {
        named.push_back(column->number);
      } else if (!tolerates(no_column(argument, name))) {
        return no_column(argument, name);
      } else if (argument == "columns") {
        return true;  // whether it changed can't be told
      }
    }
    rule_.any_change = false;
    for (const ColumnFacts& column : table_.columns) {
      const bool is_named = std::find(named.begin(), named.end(), column.number) != named.end();
      if (is_named == (argument == "columns")) rule_.significant.push_back(column.number);
    }
    rule_.listed = std::move(named);
    return true;
  }

  // May the rule be used in spite of the error?
  bool tolerates(const Error& error) {
    if (problem_ != nullptr && problem_->empty()) *problem_ = error.message;
    return problem_ != nullptr;
  }

 private:
  Error unknown_path(std::string_view argument, const ColumnPath& path) const {
    Error error;
    error.sqlstate = sqlstate::kUndefinedColumn;
    error.message = "path \"" + path_text(path) + "\" from table \"" + table_.table + "\" does not exist";
    error.detail = "Argument \"" + std::string(argument) + "\" of the trigger names it.";
    error.hint = "Each name but the last must be a column with a foreign key.";
    return error;
  }

  const TableFacts& table_;
  Rule& rule_;
  std::string* problem_;
};

Result<bool> bind_fields(const RuleSpec& spec, Binder& binder, Rule& rule) {
  for (const FieldSpec& field : spec.fields) {
    const auto used = binder.use("fields", field.path);
    if (!used.ok()) return used.error();
    BoundField bound;
    append_json_string(bound.json_name, field.name);
    bound.json_name += ':';
    bound.input = used.value().input;
    bound.json_kind = used.value().json_kind;
    rule.fields.push_back(std::move(bound));
  }
  return true;
}

// A payload that cannot be used gives the messages of a rule that has none.
Result<bool> bind_message(const RuleSpec& spec, const TableFacts& table, Binder& binder, Rule& rule) {
  if (spec.format != Format::custom) return true;
  const auto find = [&binder](const ColumnPath& path) { return binder.use("payload", path); };
  Result<BoundPayload> bound = bind_payload(spec.payload, {table.schema, table.table, rule.name}, find);
  if (bound.ok()) {
    rule.payload = bound.take();
  } else if (binder.tolerates(bound.error())) {
    rule.format = Format::record;
  } else {
    return bound.error();
  }
  return true;
}

void collect_path(const ColumnPath& path, std::vector<ColumnPath>& paths) {
  if (path.size() > 1 && std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
}

void collect_paths(const Template& source, std::vector<ColumnPath>& paths) {
  for (const TemplatePart& part : source.parts()) collect_path(part.placeholder.path, paths);
}

}  // namespace

std::vector<ColumnPath> foreign_paths(const RuleSpec& spec) {
  std::vector<ColumnPath> paths;
  for (const Template& key : spec.keys) collect_paths(key, paths);
  for (const Template& pattern : spec.patterns) collect_paths(pattern, paths);
  collect_paths(spec.id, paths);
  for (const FieldSpec& field : spec.fields) collect_path(field.path, paths);
  for (const PayloadMember& member : spec.payload) {
    for (const PayloadPiece& piece : member) collect_path(piece.placeholder.path, paths);
  }
  return paths;
}

Result<Rule> bind_rule(const RuleSpec& spec, const TableFacts& table, std::string* problem) {
  Rule rule;
  Binder binder(table, rule, problem);
  for (const Template& key : spec.keys) {
    Result<BoundTemplate> bound = binder.bind("key", key);
    if (!bound.ok()) return bound.error();
    rule.keys.push_back(bound.take());
  }
  for (const Template& pattern : spec.patterns) {
    Result<BoundTemplate> bound = binder.bind("pattern", pattern);
    if (!bound.ok()) return bound.error();
    rule.patterns.push_back(bound.take());
  }
  Result<BoundTemplate> id = binder.bind("id", spec.has_id ? spec.id : Template::of_columns(table.primary_key, ":"));
  if (!id.ok()) return id.error();
  rule.id = id.take();
  if (!spec.has_id && !table.primary_key_deferrable) rule.key_separators = static_cast<int>(table.primary_key.size()) - 1;
  Result<bool> done = bind_fields(spec, binder, rule);
  if (!done.ok()) return done.error();
  if (!spec.columns.empty()) done = binder.bind_significant("columns", spec.columns);
  if (!spec.ignore.empty()) done = binder.bind_significant("ignore", spec.ignore);
  if (!done.ok()) return done.error();
  rule.send_unchanged = spec.send_unchanged;
  rule.format = spec.format;
  rule.name = spec.has_resource ? spec.resource : table.table;
  rule.has_channel = spec.has_channel;
  rule.channel = spec.channel;
  rule.servers = spec.servers;
  done = bind_message(spec, table, binder, rule);
  if (!done.ok()) return done.error();
  return rule;
}

}  // namespace cache_invalidate::core
