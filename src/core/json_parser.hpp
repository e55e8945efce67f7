// JSON input: a strict reader (RFC 8259) of what a person wrote, which says where a mistake is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace cache_invalidate::core {

struct JsonMember;

struct JsonNode {
  enum class Type : std::uint8_t { object, array, string, literal };

  Type type = Type::literal;
  std::string text;                 // of a string: what it says, in UTF-8; of a literal (number, true, false, null): as it is written
  std::vector<JsonMember> members;  // of an object, in their order
  std::vector<JsonNode> elements;   // of an array
};

struct JsonMember {
  std::string name;
  JsonNode value;
};

// Objects and arrays in each other, at most.
inline constexpr int kDeepestJson = 32;

// Stricter than the standard asks: refuses two members of one name, \u0000 and half a surrogate pair, since each means
// different things to different readers. `what` names the argument; the error has no hint.
Result<JsonNode> parse_json(std::string_view what, std::string_view text);

}  // namespace cache_invalidate::core
