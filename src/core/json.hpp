// JSON output: strings that are always valid, whatever bytes a column held.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cache_invalidate::core {

// How a column's value stands in a JSON object.
enum class JsonKind : std::uint8_t {
  text,     // quoted and escaped
  number,   // as it is, unless it is not a JSON number (NaN, Infinity): then quoted
  boolean,  // t and f become true and false
  json      // the value is JSON itself
};

// Appends `text` (UTF-8; bytes that are not become U+FFFD) as a JSON string, with its quotes.
void append_json_string(std::string& out, std::string_view text);

// The same without the quotes, as it stands inside a string.
void append_json_text(std::string& out, std::string_view text);

// Appends a column's value, given in the text form of its type, as `kind` says.
void append_json_value(std::string& out, std::string_view text, JsonKind kind);

// Rewrites JSON text so that every character beyond ASCII is an escape.
std::string json_to_ascii(std::string_view json);

// Appends a character, by its code point.
void append_utf8(std::string& out, std::uint32_t character);

bool is_json_number(std::string_view text);

}  // namespace cache_invalidate::core
