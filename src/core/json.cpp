#include "core/json.hpp"

#include <algorithm>

namespace cache_invalidate::core {
namespace {

constexpr std::uint32_t kReplacement = 0xFFFD;

// Decodes one UTF-8 character at the front of `text` and removes it. Anything malformed (overlong forms,
// surrogates, beyond U+10FFFF, cut short) gives U+FFFD and removes one byte.
std::uint32_t next_character(std::string_view& text) {
  const auto byte_at = [&text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte_at(0);
  std::size_t length = 1;
  std::uint32_t value = first;
  std::uint32_t smallest = 0;
  if (first >= 0xF0 && first < 0xF8) {
    length = 4, value = first & 0x07, smallest = 0x10000;
  } else if (first >= 0xE0) {
    length = 3, value = first & 0x0F, smallest = 0x800;
  } else if (first >= 0xC0) {
    length = 2, value = first & 0x1F, smallest = 0x80;
  }
  bool valid = first < 0x80 || (first >= 0xC2 && first < 0xF5 && text.size() >= length);
  for (std::size_t i = 1; valid && i < length; ++i) {
    valid = (byte_at(i) & 0xC0) == 0x80;
    value = (value << 6) | (byte_at(i) & 0x3F);
  }
  valid = valid && value >= smallest && value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
  text.remove_prefix(valid ? length : 1);
  return valid ? value : kReplacement;
}

void append_hex_escape(std::string& out, std::uint32_t unit) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(kDigits[(unit >> shift) & 0xF]);
}

void append_escaped(std::string& out, std::uint32_t character) {
  if (character >= 0x10000) {
    const std::uint32_t rest = character - 0x10000;
    append_hex_escape(out, 0xD800 + (rest >> 10));
    append_hex_escape(out, 0xDC00 + (rest & 0x3FF));
  } else {
    append_hex_escape(out, character);
  }
}

void append_character(std::string& out, std::uint32_t c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  if (c < 0x20 || c == 0x7F) {
    append_hex_escape(out, c);
  } else {
    append_utf8(out, c);
  }
}

// Stands for itself in a JSON string.
bool is_plain(char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

}  // namespace

void append_utf8(std::string& out, std::uint32_t character) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto put_rest = [&](std::uint32_t bits) { put(0x80 | (bits & 0x3F)); };
  if (character < 0x80) {
    put(character);
    return;
  }
  if (character < 0x800) {
    put(0xC0 | (character >> 6));
  } else if (character < 0x10000) {
    put(0xE0 | (character >> 12));
    put_rest(character >> 6);
  } else {
    put(0xF0 | (character >> 18));
    put_rest(character >> 12);
    put_rest(character >> 6);
  }
  put_rest(character);
}

void append_json_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_plain) - text.begin());
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (!text.empty()) append_character(out, next_character(text));
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  append_json_text(out, text);
  out.push_back('"');
}

void append_json_value(std::string& out, std::string_view text, JsonKind kind) {
  switch (kind) {
    case JsonKind::number:
      if (is_json_number(text)) {
        out += text;
        return;
      }
      break;
    case JsonKind::boolean:
      out += text == "t" ? "true" : "false";
      return;
    case JsonKind::json:
      out += text;
      return;
    case JsonKind::text:
      break;
  }
  append_json_string(out, text);
}

std::string json_to_ascii(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const std::uint32_t c = next_character(json);
    if (c < 0x80) {
      out.push_back(static_cast<char>(c));
    } else {
      append_escaped(out, c);
    }
  }
  return out;
}

bool is_json_number(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - start;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const std::size_t integer_start = i;
  const std::size_t integer_digits = digits();
  if (integer_digits == 0 || (integer_digits > 1 && text[integer_start] == '0')) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

}  // namespace cache_invalidate::core
