#include "core/payload_values.hpp"

#include "core/bytes.hpp"

namespace cache_invalidate::core {
namespace {

void append_value(std::string& out, const Value& value, const PayloadValue& wanted) {
  if (value.state == Value::State::null) {
    if (!wanted.in_string) out += "null";
    return;
  }
  std::string_view text = value.text();
  // What is cast is the JSON value; without a cast text is what it is in keys.
  if (wanted.cast != Cast::none && wanted.json_kind == JsonKind::boolean) text = text == "t" ? "true" : "false";
  if (wanted.in_string) {
    append_json_text(out, text);
  } else if (wanted.cast == Cast::none) {
    append_json_value(out, text, wanted.json_kind);
  } else {
    append_json_value(out, text, wanted.cast == Cast::number ? JsonKind::number : JsonKind::text);
  }
}

// Puts a varint before what stands behind `start`.
void insert_varint(std::string& out, std::size_t start, std::uint64_t value) {
  char bytes[10];
  std::size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = static_cast<char>(value | 0x80);
  bytes[size++] = static_cast<char>(value);
  out.insert(start, bytes, size);
}

}  // namespace

void render_row(const Rule& rule, const Value* values, std::string& out) {
  if (rule.format != Format::custom) {
    render_fields(rule.fields, values, out);
    return;
  }
  out.clear();
  for (const PayloadValue& wanted : rule.payload.values) {
    const Value& value = values[wanted.input];
    if (value.state == Value::State::unknown) {
      out.push_back('\0');
      continue;
    }
    const std::size_t start = out.size();
    append_value(out, value, wanted);
    insert_varint(out, start, out.size() - start + 1);
  }
}

}  // namespace cache_invalidate::core
