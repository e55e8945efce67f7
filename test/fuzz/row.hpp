// A table that has whatever columns a rule names, and a row of it whose values are all one text of a stranger.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/expand.hpp"
#include "core/rule.hpp"

namespace cache_invalidate::fuzz {

inline void add_column(core::TableFacts& table, const std::string& name, core::JsonKind kind) {
  const bool is_there = std::any_of(table.columns.begin(), table.columns.end(),
                                    [&name](const core::ColumnFacts& column) { return column.name == name; });
  if (!is_there) table.columns.push_back({name, static_cast<std::int16_t>(table.columns.size() + 1), kind});
}

inline void add_columns(core::TableFacts& table, const core::Template& source) {
  for (const core::TemplatePart& part : source.parts()) {
    if (!part.placeholder.path.empty()) add_column(table, part.placeholder.path.front(), core::JsonKind::text);
  }
}

inline core::TableFacts table_for(const core::RuleSpec& spec) {
  core::TableFacts table;
  table.schema = "app";
  table.table = "t";
  add_column(table, "id", core::JsonKind::number);
  table.primary_key = {"id"};
  for (const core::Template& key : spec.keys) add_columns(table, key);
  for (const core::Template& pattern : spec.patterns) add_columns(table, pattern);
  add_columns(table, spec.id);
  for (const core::FieldSpec& field : spec.fields) add_column(table, field.path.front(), core::JsonKind::boolean);
  for (const std::string& name : spec.columns) add_column(table, name, core::JsonKind::text);
  for (const std::string& name : spec.ignore) add_column(table, name, core::JsonKind::text);
  for (const core::PayloadMember& member : spec.payload) {
    for (const core::PayloadPiece& piece : member) {
      if (!piece.placeholder.path.empty()) add_column(table, piece.placeholder.path.front(), core::JsonKind::number);
    }
  }
  for (core::ColumnPath& path : core::foreign_paths(spec)) table.paths.push_back({std::move(path), core::JsonKind::text});
  return table;
}

inline std::vector<core::Value> row_for(const core::Rule& rule, std::string_view value) {
  return {rule.inputs.size(), core::Value{value.data(), static_cast<std::uint32_t>(value.size()), core::Value::State::known}};
}

}  // namespace cache_invalidate::fuzz
