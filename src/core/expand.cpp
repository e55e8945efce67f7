#include "core/expand.hpp"

#include "core/json.hpp"

namespace cache_invalidate::core {

bool expand(const BoundTemplate& source, const Value* values, std::string& out) {
  out.clear();
  for (const BoundPart& part : source) {
    out += part.literal;
    if (part.column < 0) continue;
    const Value& value = values[part.column];
    if (value.is_null) return false;
    out += value.text();
  }
  return true;
}

void append_glob_literal(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

bool expand_glob(const BoundTemplate& source, const Value* values, std::string& out) {
  out.clear();
  for (const BoundPart& part : source) {
    out += part.literal;
    if (part.column < 0) continue;
    const Value& value = values[part.column];
    if (value.is_null) return false;
    append_glob_literal(out, value.text());
  }
  return true;
}

std::string widen(const Template& source, bool is_glob) {
  std::string out;
  for (const TemplatePart& part : source.parts()) {
    if (is_glob) {
      out += part.literal;
    } else {
      append_glob_literal(out, part.literal);
    }
    if (part.has_column && (out.empty() || out.back() != '*')) out.push_back('*');
  }
  return out;
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
