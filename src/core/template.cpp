#include "core/template.hpp"

namespace cache_invalidate::core {
namespace {

Error syntax_error(std::string_view what, std::string_view text, std::string detail) {
  Error error;
  error.sqlstate = sqlstate::kSyntaxError;
  error.message = "invalid template in argument \"" + std::string(what) + "\": \"" + std::string(text) + "\"";
  error.detail = std::move(detail);
  error.hint = "Write column names in braces, as in \"task:{id}\", and literal braces as \"{{\" and \"}}\".";
  return error;
}

class Parser {
 public:
  Parser(std::string_view what, std::string_view text, Grammar grammar) : what_(what), text_(text), grammar_(grammar) {}

  bool at_end() const { return position_ >= text_.size(); }
  std::size_t position() const { return position_; }
  char next() { return text_[position_++]; }
  bool take(std::string_view wanted) {
    if (text_.substr(position_, wanted.size()) != wanted) return false;
    position_ += wanted.size();
    return true;
  }
  Error fail(std::string detail) const { return syntax_error(what_, text_, std::move(detail)); }
  Error fail_at(const char* problem, std::size_t position) const {
    return fail(std::string(problem) + at_character(text_, position));
  }

  // Stands behind the opening brace; leaves behind the closing one.
  Result<Placeholder> placeholder() {
    const std::size_t start = position_ - 1;
    Placeholder result;
    if (take("$")) {
      if (grammar_ == Grammar::key) {
        Error error = fail_at("There is a placeholder of messages", start);
        error.hint = "Placeholders that begin with \"$\" stand in argument \"payload\"; quote a column's name, as in {\"$a\"}.";
        return error;
      }
      result.variable = bare_name();
      if (result.variable.empty()) return fail_at("There is an empty placeholder", start);
    } else {
      Result<ColumnPath> parsed = path(start);
      if (!parsed.ok()) return parsed.error();
      result.path = parsed.take();
    }
    if (grammar_ == Grammar::payload && take("::")) {
      if (take("text")) {
        result.cast = Cast::text;
      } else if (take("number")) {
        result.cast = Cast::number;
      } else {
        Error error = fail_at("There is an unknown type", position_);
        error.hint = "Write \"::text\" or \"::number\"; without either the value takes its column's JSON type.";
        return error;
      }
    }
    if (!take("}")) return fail_at("There is an unterminated placeholder", start);
    return result;
  }

  // `start`: where to say that it is wrong.
  Result<ColumnPath> path(std::size_t start) {
    ColumnPath result;
    do {
      const std::size_t name_start = position_;
      std::string name;
      if (!take("\"")) {
        name = bare_name();
      } else if (!quoted_name(name)) {
        return fail_at("There is an unterminated quoted name", name_start);
      }
      if (name.empty()) {
        if (at_end() || text_[position_] == '{') return fail_at("There is an unterminated placeholder", start);
        return fail_at(result.empty() ? "There is an empty placeholder" : "There is an empty name", start);
      }
      result.push_back(std::move(name));
    } while (take("."));
    return result;
  }

 private:
  std::string bare_name() {
    std::string name;
    while (!at_end() && text_[position_] != '}' && text_[position_] != '{' && text_[position_] != '.') {
      if (grammar_ == Grammar::payload && text_.substr(position_, 2) == "::") break;
      name.push_back(next());
    }
    return name;
  }

  // Stands behind the opening quote; false when there is no closing one.
  bool quoted_name(std::string& name) {
    while (!at_end()) {
      const char c = next();
      if (c != '"') {
        name.push_back(c);
      } else if (take("\"")) {
        name.push_back('"');
      } else {
        return true;
      }
    }
    return false;
  }

  std::string_view what_;
  std::string_view text_;
  Grammar grammar_;
  std::size_t position_ = 0;
};

}  // namespace

std::string path_text(const ColumnPath& path) {
  std::string text;
  for (const std::string& name : path) {
    if (!text.empty()) text += '.';
    if (name.find_first_of(".{}\":$") == std::string::npos) {
      text += name;
      continue;
    }
    text += '"';
    for (const char c : name) text.append(c == '"' ? 2 : 1, c);
    text += '"';
  }
  return text;
}

Result<Template> Template::parse(std::string_view what, std::string_view text, Grammar grammar) {
  Template result;
  if (text.empty()) return syntax_error(what, text, "The template is empty.");
  Parser parser(what, text, grammar);
  TemplatePart part;
  while (!parser.at_end()) {
    if (parser.take("{{")) {
      part.literal.push_back('{');
    } else if (parser.take("}}")) {
      part.literal.push_back('}');
    } else if (parser.take("{")) {
      Result<Placeholder> placeholder = parser.placeholder();
      if (!placeholder.ok()) return placeholder.error();
      part.placeholder = placeholder.take();
      part.has_placeholder = true;
      result.parts_.push_back(std::move(part));
      part = TemplatePart();
    } else if (parser.take("}")) {
      return parser.fail_at("There is a closing brace without an opening one", parser.position() - 1);
    } else {
      part.literal.push_back(parser.next());
    }
  }
  if (!part.literal.empty()) result.parts_.push_back(std::move(part));
  return result;
}

Template Template::of_columns(const std::vector<std::string>& columns, std::string_view separator) {
  Template result;
  for (const std::string& column : columns) {
    TemplatePart part;
    if (!result.parts_.empty()) part.literal = separator;
    part.placeholder.path = {column};
    part.has_placeholder = true;
    result.parts_.push_back(std::move(part));
  }
  return result;
}

Result<ColumnPath> parse_path(std::string_view what, std::string_view text) {
  Parser parser(what, text, Grammar::key);
  Result<ColumnPath> result = parser.path(0);
  if (!result.ok()) return result.error();
  if (!parser.at_end()) return parser.fail_at("There is more than a name", parser.position());
  return result;
}

}  // namespace cache_invalidate::core
