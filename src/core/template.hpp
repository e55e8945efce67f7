// Template: text with {placeholder}s; {{ and }} are literal braces.
//
//   {column}            a column, spelled as the catalog spells it; {"odd name"} quotes one that contains braces,
//                       dots, colons or quotes (a double quote is doubled inside)
//   {fk_column.other}   `other` of the row that the foreign key on fk_column points to; more steps are allowed
//   {$name}             what is known when the message is sent; only in payloads
//   {...::text}         in payloads: the value as a JSON string; {...::number}: as a JSON number
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace cache_invalidate::core {

// A column, or foreign-key columns of one table after the other and a column at the end.
using ColumnPath = std::vector<std::string>;

// As it stands in a placeholder, for messages to the user.
std::string path_text(const ColumnPath& path);

// What JSON type a payload asks for.
enum class Cast : std::uint8_t { none, text, number };

struct Placeholder {
  ColumnPath path;       // empty: a variable
  std::string variable;  // without its dollar sign
  Cast cast = Cast::none;
};

struct TemplatePart {
  std::string literal;      // text before the placeholder
  bool has_placeholder = false;  // false: the text ends the template
  Placeholder placeholder;
};

// Which placeholders a template may have.
enum class Grammar : std::uint8_t { key, payload };

class Template {
 public:
  // Fails with a message that says what is wrong and at which character; `what` names the argument.
  static Result<Template> parse(std::string_view what, std::string_view text, Grammar grammar = Grammar::key);

  // The template of columns alone.
  static Template of_columns(const std::vector<std::string>& columns, std::string_view separator);

  const std::vector<TemplatePart>& parts() const { return parts_; }

 private:
  std::vector<TemplatePart> parts_;
};

// A path as it may stand in a list of columns, "project_id" or "call_id.user_id".
Result<ColumnPath> parse_path(std::string_view what, std::string_view text);

}  // namespace cache_invalidate::core
