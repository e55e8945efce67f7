#include "core/expand.hpp"

#include <algorithm>

#include "core/json.hpp"

namespace cache_invalidate::core {

void append_glob_literal(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

namespace {

template <typename Append>
bool expand_with(const BoundTemplate& source, const Value* values, std::string& out, Append append) {
  out.clear();
  for (const BoundPart& part : source) {
    out += part.literal;
    if (part.column < 0) continue;
    const Value& value = values[part.column];
    if (value.is_null) return false;
    append(out, value.text());
  }
  return true;
}

}  // namespace

bool expand(const BoundTemplate& source, const Value* values, std::string& out) {
  return expand_with(source, values, out, [](std::string& to, std::string_view text) { to += text; });
}

bool expand_glob(const BoundTemplate& source, const Value* values, std::string& out) {
  return expand_with(source, values, out, append_glob_literal);
}

std::string widen(const Template& source, bool is_glob) {
  std::string out;
  bool starred = false;  // by us: a star at the end of `out` may be an escaped one
  for (const TemplatePart& part : source.parts()) {
    if (is_glob) {
      out += part.literal;
    } else {
      append_glob_literal(out, part.literal);
    }
    starred = starred && part.literal.empty();
    if (part.has_column && !starred) out.push_back('*');
    starred = starred || part.has_column;
  }
  return out;
}

bool is_exact_id(const Rule& rule, std::string_view id) {
  if (rule.key_separators <= 0) return rule.key_separators == 0;
  return std::count(id.begin(), id.end(), ':') == rule.key_separators;
}

void render_fields(const std::vector<BoundField>& fields, const Value* values, std::string& out) {
  out.clear();
  for (const BoundField& field : fields) {
    if (!out.empty()) out += ',';
    out += field.json_name;
    const Value& value = values[field.column];
    if (value.is_null) {
      out += "null";
    } else {
      append_json_value(out, value.text(), field.json_kind);
    }
  }
}

}  // namespace cache_invalidate::core
