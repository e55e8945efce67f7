// bind_rule(): from the names of a RuleSpec to the columns of a table.
#include <algorithm>

#include "core/rule.hpp"

namespace cache_invalidate::core {
namespace {

class Binder {
 public:
  Binder(const TableFacts& table, Rule& rule) : table_(table), rule_(rule) {}

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

  // The place of the column among those that the row reader fetches.
  int use(const ColumnFacts& column) {
    const auto found = std::find(rule_.columns.begin(), rule_.columns.end(), column.number);
    if (found != rule_.columns.end()) return static_cast<int>(found - rule_.columns.begin());
    rule_.columns.push_back(column.number);
    return static_cast<int>(rule_.columns.size() - 1);
  }

  Result<BoundTemplate> bind(std::string_view argument, const Template& source) {
    BoundTemplate bound;
    for (const TemplatePart& part : source.parts()) {
      BoundPart target;
      target.literal = part.literal;
      if (part.has_column) {
        const ColumnFacts* column = find(part.column);
        if (column == nullptr) return no_column(argument, part.column);
        target.column = use(*column);
      }
      bound.push_back(std::move(target));
    }
    return bound;
  }

  Result<bool> bind_significant(std::string_view argument, const std::vector<std::string>& names) {
    std::vector<std::int16_t> named;
    for (const std::string& name : names) {
      const ColumnFacts* column = find(name);
      if (column == nullptr) return no_column(argument, name);
      named.push_back(column->number);
    }
    rule_.any_change = false;
    for (const ColumnFacts& column : table_.columns) {
      const bool is_named = std::find(named.begin(), named.end(), column.number) != named.end();
      if (is_named == (argument == "columns")) rule_.significant.push_back(column.number);
    }
    rule_.listed = std::move(named);
    return true;
  }

 private:
  const TableFacts& table_;
  Rule& rule_;
};

Result<bool> bind_fields(const RuleSpec& spec, Binder& binder, Rule& rule) {
  for (const FieldSpec& field : spec.fields) {
    const ColumnFacts* column = binder.find(field.column);
    if (column == nullptr) return binder.no_column("fields", field.column);
    BoundField bound;
    append_json_string(bound.json_name, field.name);
    bound.json_name += ':';
    bound.column = binder.use(*column);
    bound.json_kind = column->json_kind;
    rule.fields.push_back(std::move(bound));
  }
  return true;
}

}  // namespace

Result<Rule> bind_rule(const RuleSpec& spec, const TableFacts& table) {
  Rule rule;
  Binder binder(table, rule);
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
  if (!spec.has_id) rule.key_separators = static_cast<int>(table.primary_key.size()) - 1;
  Result<bool> done = bind_fields(spec, binder, rule);
  if (!done.ok()) return done.error();
  if (!spec.columns.empty()) done = binder.bind_significant("columns", spec.columns);
  if (!spec.ignore.empty()) done = binder.bind_significant("ignore", spec.ignore);
  if (!done.ok()) return done.error();
  rule.format = spec.format;
  rule.name = spec.has_resource ? spec.resource : table.table;
  rule.has_channel = spec.has_channel;
  rule.channel = spec.channel;
  rule.servers = spec.servers;
  return rule;
}

}  // namespace cache_invalidate::core
