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
