#include "core/expand.hpp"

#include <algorithm>
#include <limits>

#include "core/json.hpp"

namespace cache_invalidate::core {

void append_glob_literal(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

namespace {

// Appends to a glob; of two stars in a row one is enough.
class GlobWriter {
 public:
  explicit GlobWriter(std::string& out) : out_(out) { out_.clear(); }

  void literal(std::string_view text, bool is_glob) {
    if (is_glob) {
      out_ += text;
    } else {
      append_glob_literal(out_, text);
    }
    starred_ = starred_ && text.empty();
  }
  void star() {
    if (!starred_) out_.push_back('*');
    starred_ = true;
  }

 private:
  std::string& out_;
  bool starred_ = false;  // by us: a star at the end of `out_` may be an escaped one
};

constexpr std::size_t kTooLong = std::numeric_limits<std::size_t>::max();

// What the template needs of the values, and how long it would get: kTooLong if nobody wants it.
Expansion examine(const BoundTemplate& source, const Value* values, std::size_t& size) {
  Expansion result = Expansion::exact;
  size = 0;
  for (const BoundPart& part : source) {
    size += part.literal.size();
    if (part.input < 0) continue;
    const Value& value = values[part.input];
    if (value.state == Value::State::null) return Expansion::none;
    if (value.state == Value::State::unknown) result = Expansion::widened;
    size += value.size;
  }
  if (size > kLongestKey) size = kTooLong, result = Expansion::widened;
  return result;
}

// `too_long`: then the values that are long themselves are given up, and if that is not enough, the rest.
void expand_widened(const BoundTemplate& source, const Value* values, bool is_glob, bool too_long, std::string& out) {
  constexpr std::size_t kLong = 1024;
  GlobWriter glob(out);
  std::size_t size = 0;
  for (const BoundPart& part : source) {
    glob.literal(part.literal, is_glob);
    if (part.input < 0) continue;
    const Value& value = values[part.input];
    if (value.state == Value::State::unknown || (too_long && (value.size > kLong || size + value.size > kLongestKey / 2))) {
      glob.star();
    } else {
      glob.literal(value.text(), false);
      size += value.size;
    }
  }
}

}  // namespace

Expansion expand(const BoundTemplate& source, const Value* values, std::string& out) {
  std::size_t size;
  const Expansion result = examine(source, values, size);
  if (result == Expansion::widened) expand_widened(source, values, false, size == kTooLong, out);
  if (result != Expansion::exact) return result;
  out.clear();
  for (const BoundPart& part : source) {
    out += part.literal;
    if (part.input >= 0) out += values[part.input].text();
  }
  return result;
}

Expansion expand_glob(const BoundTemplate& source, const Value* values, std::string& out) {
  std::size_t size;
  const Expansion result = examine(source, values, size);
  if (result != Expansion::none) expand_widened(source, values, true, size == kTooLong, out);
  return result;
}

std::string widen(const Template& source, bool is_glob) {
  std::string out;
  GlobWriter glob(out);
  for (const TemplatePart& part : source.parts()) {
    glob.literal(part.literal, is_glob);
    if (part.has_placeholder) glob.star();
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
    const Value& value = values[field.input];
    if (value.state == Value::State::unknown) continue;
    if (!out.empty()) out += ',';
    out += field.json_name;
    if (value.state == Value::State::null) {
      out += "null";
    } else {
      append_json_value(out, value.text(), field.json_kind);
    }
  }
}

}  // namespace cache_invalidate::core
