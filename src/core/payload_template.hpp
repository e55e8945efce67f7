// PayloadTemplate: what argument "payload" of a trigger says. A JSON object whose strings, however deep, may be templates;
// names of members, numbers, true, false and null are copied.
//
// A string that is one placeholder and nothing else becomes a value of the column's JSON type; elsewhere the value is put
// into the string as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/template.hpp"

namespace cache_invalidate::core {

struct PayloadPiece {
  std::string json;              // JSON text before the placeholder
  bool has_placeholder = false;  // false: the text ends the member
  bool in_string = false;        // the placeholder stands inside a string
  Placeholder placeholder;
};

// A member of the object: the pieces begin with its name and colon. It is in a message as a whole or not at all.
using PayloadMember = std::vector<PayloadPiece>;
using PayloadTemplate = std::vector<PayloadMember>;

// What `{$name}` may name. Those of the second group are known when the rule is compiled.
enum class PayloadVariable : std::uint8_t { operation = 0, id, batch_id, timestamp, epoch, lsn, table, schema, resource };
inline constexpr PayloadVariable kLastSentVariable = PayloadVariable::lsn;

// False: there is no such variable.
bool find_variable(std::string_view name, PayloadVariable& variable);

Result<PayloadTemplate> parse_payload(std::string_view text);

}  // namespace cache_invalidate::core
