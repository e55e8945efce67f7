// Template: text with {column} placeholders; {{ and }} are literal braces.
//
// A placeholder names a column exactly as the catalog spells it; {"odd name"} quotes one that contains
// braces, dots or quotes (a double quote is doubled inside).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace cache_invalidate::core {

struct TemplatePart {
  std::string literal;      // text before the placeholder
  std::string column;       // empty: no placeholder, the text ends the template
  bool has_column = false;
};

class Template {
 public:
  // Fails with a message that says what is wrong and at which character; `what` names the argument.
  static Result<Template> parse(std::string_view what, std::string_view text);

  // The template of one column alone.
  static Template of_columns(const std::vector<std::string>& columns, std::string_view separator);

  const std::vector<TemplatePart>& parts() const { return parts_; }

 private:
  std::vector<TemplatePart> parts_;
};

}  // namespace cache_invalidate::core
