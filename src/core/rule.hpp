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
#include "core/payload_program.hpp"
#include "core/payload_template.hpp"
#include "core/result.hpp"
#include "core/template.hpp"

namespace cache_invalidate::core {

// The two ready shapes of a message, and the one that argument "payload" describes; docs/payloads.md.
enum class Format : std::uint8_t { record = 0, resource = 1, custom = 2 };

struct FieldSpec {
  std::string name;  // in the message
  ColumnPath path;
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
  PayloadTemplate payload;  // when the format is custom
  bool has_channel = false;
  std::string channel;
  std::vector<std::string> servers;
  std::vector<std::string> columns;
  std::vector<std::string> ignore;
  bool send_unchanged = false;  // an UPDATE that changes nothing counts too
};

Result<RuleSpec> parse_rule(const std::vector<std::string>& arguments);

// The same where a row has changed already: an argument that is wrong, or does not go with those before it, is left out,
// and the first error goes to `problem`.
RuleSpec parse_usable(const std::vector<std::string>& arguments, std::string& problem);

// The distinct paths over foreign keys that the templates, the fields and the payload take.
std::vector<ColumnPath> foreign_paths(const RuleSpec& spec);

struct ColumnFacts {
  std::string name;
  std::int16_t number;  // the server's attribute number
  JsonKind json_kind = JsonKind::text;
};

// A path over foreign keys, resolved.
struct PathFacts {
  ColumnPath path;
  JsonKind json_kind = JsonKind::text;
};

struct TableFacts {
  std::string schema;
  std::string table;
  std::vector<ColumnFacts> columns;            // without dropped ones
  std::vector<std::string> primary_key;        // in key order; empty: none
  bool primary_key_deferrable = false;         // two rows may have one id for a while
  std::vector<PathFacts> paths;                // of foreign_paths(), in any order
};

// A value that the rule needs of a row.
struct Input {
  ColumnPath path;            // of more than one name: found by following foreign keys
  std::int16_t number;        // attribute number of its first column; 0: there is none
  bool only_field;            // stands in messages only, and not in their id

  bool is_foreign() const { return path.size() > 1; }
};

// A template whose placeholders are numbers of Rule::inputs.
struct BoundPart {
  std::string literal;
  int input = -1;  // -1: none
};
using BoundTemplate = std::vector<BoundPart>;

struct BoundField {
  std::string json_name;  // escaped, quoted, with its colon: "\"name\":"
  int input;
  JsonKind json_kind;
};

struct Rule {
  std::vector<Input> inputs;          // what the row reader must fetch
  std::vector<BoundTemplate> keys;
  std::vector<BoundTemplate> patterns;
  BoundTemplate id;                   // empty: the table has no primary key and none was given
  int key_separators = -1;            // of an id that is the primary key; -1: the id may name several records
  std::vector<BoundField> fields;
  std::vector<std::int16_t> significant;  // an UPDATE counts only if one of these changed
  bool any_change = true;                 // false: `significant` decides
  bool send_unchanged = false;            // an UPDATE that changes nothing counts too
  std::vector<std::int16_t> listed;       // what "columns" or "ignore" names
  Format format = Format::record;
  BoundPayload payload;  // when the format is custom
  std::string name;      // resource, or the table's name
  std::string channel;   // only when has_channel
  bool has_channel = false;
  std::vector<std::string> servers;
};

// With `problem`: never fails. What names a column that does not exist becomes an input with number 0, whose value
// is never known, and the first such error goes to `problem`, unless there is one already.
Result<Rule> bind_rule(const RuleSpec& spec, const TableFacts& table, std::string* problem = nullptr);

}  // namespace cache_invalidate::core
