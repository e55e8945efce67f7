// RuleSpec: what the arguments of one trigger say. Rule: the same, bound to the columns of its table.
//
// parse_rule() needs no table, bind_rule() needs only names and types: both run when CREATE TRIGGER is
// checked and again when a backend first fires the trigger.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/result.hpp"
#include "core/template.hpp"

namespace cache_invalidate::core {

// The two ready shapes of a message, docs/payloads.md.
enum class Format : std::uint8_t { record = 0, resource = 1 };

struct FieldSpec {
  std::string name;    // in the message
  std::string column;  // in the table
};

struct RuleSpec {
  std::vector<Template> keys;
  std::vector<Template> patterns;
  bool has_id = false;
  Template id;
  bool has_resource = false;
  std::string resource;
  std::vector<FieldSpec> fields;
  Format format = Format::record;
  bool has_channel = false;
  std::string channel;
  std::vector<std::string> servers;
  std::vector<std::string> columns;
  std::vector<std::string> ignore;
};

Result<RuleSpec> parse_rule(const std::vector<std::string>& arguments);

struct ColumnFacts {
  std::string name;
  std::int16_t number;  // the server's attribute number
  JsonKind json_kind = JsonKind::text;
};

struct TableFacts {
  std::string schema;
  std::string table;
  std::vector<ColumnFacts> columns;            // without dropped ones
  std::vector<std::string> primary_key;        // in key order; empty: none
};

// A template whose placeholders are numbers of Rule::columns.
struct BoundPart {
  std::string literal;
  int column = -1;  // -1: none
};
using BoundTemplate = std::vector<BoundPart>;

struct BoundField {
  std::string json_name;  // escaped, quoted, with its colon: "\"name\":"
  int column;
  JsonKind json_kind;
};

struct Rule {
  std::vector<std::int16_t> columns;  // attribute numbers that the row reader must fetch
  std::vector<BoundTemplate> keys;
  std::vector<BoundTemplate> patterns;
  BoundTemplate id;                   // empty: the table has no primary key and none was given
  int key_separators = -1;            // of an id that is the primary key; -1: the id may name several records
  std::vector<BoundField> fields;
  std::vector<std::int16_t> significant;  // an UPDATE counts only if one of these changed
  bool any_change = true;                 // false: `significant` decides
  std::vector<std::int16_t> listed;       // what "columns" or "ignore" names
  Format format = Format::record;
  std::string name;      // resource, or the table's name
  std::string channel;   // only when has_channel
  bool has_channel = false;
  std::vector<std::string> servers;
};

Result<Rule> bind_rule(const RuleSpec& spec, const TableFacts& table);

}  // namespace cache_invalidate::core
