#include "core/template.hpp"

#include <algorithm>

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

// Counts as the server does: a UTF-8 character once.
std::string at_character(std::string_view text, std::size_t position) {
  const auto is_first = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  const auto before = std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), is_first);
  return " at character " + std::to_string(before + 1) + ".";
}

// Reads one placeholder; `position` stands behind its opening brace and is moved behind the closing one.
Result<std::string> read_placeholder(std::string_view what, std::string_view text, std::size_t& position) {
  const std::size_t start = position;
  std::string column;
  if (position < text.size() && text[position] == '"') {
    ++position;
    while (true) {
      if (position >= text.size()) {
        return syntax_error(what, text, "There is an unterminated quoted name" + at_character(text, start));
      }
      const char c = text[position++];
      if (c != '"') {
        column.push_back(c);
      } else if (position < text.size() && text[position] == '"') {
        column.push_back('"');
        ++position;
      } else {
        break;
      }
    }
  } else {
    while (position < text.size() && text[position] != '}' && text[position] != '{') column.push_back(text[position++]);
    if (column.find('.') != std::string::npos) {
      Error error = syntax_error(what, text, "Placeholder \"{" + column + "}\" is a path over a foreign key.");
      error.sqlstate = sqlstate::kFeatureNotSupported;
      error.hint = "Name a column of the table itself; quote a name that contains a dot, as in {\"a.b\"}.";
      return error;
    }
  }
  if (position >= text.size() || text[position] != '}') {
    return syntax_error(what, text, "There is an unterminated placeholder" + at_character(text, start - 1));
  }
  ++position;
  if (column.empty()) return syntax_error(what, text, "There is an empty placeholder" + at_character(text, start - 1));
  return column;
}

}  // namespace

Result<Template> Template::parse(std::string_view what, std::string_view text) {
  Template result;
  if (text.empty()) return syntax_error(what, text, "The template is empty.");
  TemplatePart part;
  std::size_t position = 0;
  while (position < text.size()) {
    const char c = text[position++];
    const bool doubled = position < text.size() && text[position] == c;
    if ((c == '{' || c == '}') && doubled) {
      part.literal.push_back(c);
      ++position;
    } else if (c == '{') {
      Result<std::string> column = read_placeholder(what, text, position);
      if (!column.ok()) return column.error();
      part.column = column.take();
      part.has_column = true;
      result.parts_.push_back(std::move(part));
      part = TemplatePart();
    } else if (c == '}') {
      return syntax_error(what, text, "There is a closing brace without an opening one" + at_character(text, position - 1));
    } else {
      part.literal.push_back(c);
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
    part.column = column;
    part.has_column = true;
    result.parts_.push_back(std::move(part));
  }
  return result;
}

}  // namespace cache_invalidate::core
