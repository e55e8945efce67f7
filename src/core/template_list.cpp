#include "core/template_list.hpp"

#include <algorithm>

#include "core/expand.hpp"

namespace cache_invalidate::core {
namespace {

Error list_error(std::string_view what, std::string_view text, std::string detail) {
  Error error;
  error.sqlstate = sqlstate::kSyntaxError;
  error.message = "invalid list in argument \"" + std::string(what) + "\": \"" + std::string(text) + "\"";
  error.detail = std::move(detail);
  error.hint = "Write ARRAY['task:{id}', ...], or '{task:{id},...}'.";
  return error;
}

std::string_view trimmed(std::string_view text) {
  constexpr const char* kSpaces = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

// Behind the quoted text that begins at `start`; npos: it does not end.
std::size_t end_of_quoted(std::string_view text, std::size_t start, bool has_escapes) {
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (has_escapes && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// Where the parts of a list are, or nothing if the text is a template.
struct Outline {
  bool is_list = false;
  std::vector<std::size_t> commas;
};

Outline outline_of(std::string_view text) {
  Outline outline;
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return outline;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}') {
      if (--depth == 0 && i + 1 < text.size()) return outline;
    } else if (text[i] == ',' && depth == 1) {
      outline.commas.push_back(i);
    } else if (text[i] == '"') {
      const std::size_t end = end_of_quoted(text, i, depth == 1);
      if (end == std::string_view::npos) return outline;
      i = end - 1;
    }
  }
  const std::string_view inside = trimmed(text.substr(1, text.size() - 2));
  outline.is_list = depth == 0 && (inside.empty() || !outline.commas.empty() || inside.find('{') != std::string_view::npos);
  return outline;
}

std::string unquoted(std::string_view element) {
  std::string out;
  for (std::size_t i = 1; i + 1 < element.size(); ++i) {
    if (element[i] == '\\') ++i;
    out.push_back(element[i]);
  }
  return out;
}

void append_doubling_braces(std::string& out, std::string_view text) {
  for (const char c : text) out.append(c == '{' || c == '}' ? 2 : 1, c);
}

}  // namespace

Result<std::vector<std::string>> parse_template_list(std::string_view what, std::string_view text) {
  Outline outline = outline_of(trimmed(text));
  if (!outline.is_list) return std::vector<std::string>{std::string(text)};
  const std::string_view list = trimmed(text);
  std::vector<std::string> templates;
  if (trimmed(list.substr(1, list.size() - 2)).empty()) return templates;
  outline.commas.push_back(list.size() - 1);
  std::size_t start = 1;
  for (const std::size_t end : outline.commas) {
    const std::string_view element = trimmed(list.substr(start, end - start));
    start = end + 1;
    if (element.empty()) return list_error(what, text, "There is an empty element.");
    if (element.front() != '"') {
      templates.emplace_back(element);
    } else if (end_of_quoted(element, 0, true) == element.size()) {
      templates.push_back(unquoted(element));
    } else {
      return list_error(what, text, "There is text behind a closing quote.");
    }
  }
  return templates;
}

std::string replace_table_names(std::string_view text, std::string_view schema, std::string_view table, bool is_glob) {
  std::string out;
  const auto put_name = [&](std::string_view name) {
    std::string literal;
    if (is_glob) {
      append_glob_literal(literal, name);
    } else {
      literal = name;
    }
    append_doubling_braces(out, literal);
  };
  while (!text.empty()) {
    std::size_t taken = 1;
    const auto begins_with = [&](std::string_view start) {
      if (text.substr(0, start.size()) != start) return false;
      taken = start.size();
      return true;
    };
    if (begins_with("{$table}")) {
      put_name(table);
    } else if (begins_with("{$schema}")) {
      put_name(schema);
    } else {
      if (begins_with("{\"")) {
        taken = std::min(end_of_quoted(text, 1, false), text.size());
      } else if (!begins_with("{{")) {
        begins_with("}}");
      }
      out += text.substr(0, taken);
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace cache_invalidate::core
