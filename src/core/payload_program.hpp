// The payload of a trigger bound to its table, as bytes that travel with the messages ("program"), and the values of
// a row that go with it.
//
// Program: one counted string for each member of the object, made of parts:
//   literal   bytes             JSON text as it is
//   value     number            the value of that number, as it is
//   string, number, inside      variable: as a JSON string, as a JSON number if it is one, as text inside a string
// where a part is a byte of PayloadPart, then a varint or a counted string. Values, a message's `fields`: for each its
// size plus one as a varint and its JSON text; 0 is one that is not known.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/payload_template.hpp"
#include "core/result.hpp"

namespace cache_invalidate::core {

enum class PayloadPart : std::uint8_t { literal = 0, value = 1, string = 2, number = 3, inside = 4 };

// What a program holds whatever the values are, in bytes, with its variables at their longest and characters beyond
// ASCII as escapes. With it a message fits NOTIFY when all that depends on the row is left out.
inline constexpr std::size_t kLongestFixedPayload = 4000;

// A value of the row as the messages need it.
struct PayloadValue {
  int input;  // of Rule::inputs
  JsonKind json_kind;
  Cast cast;
  bool in_string;

  bool operator==(const PayloadValue& other) const {
    return input == other.input && json_kind == other.json_kind && cast == other.cast && in_string == other.in_string;
  }
};

struct BoundPayload {
  std::string program;
  std::vector<PayloadValue> values;
};

// An input of the rule, and its JSON type.
struct BoundColumn {
  int input;
  JsonKind json_kind;
};

struct PayloadNames {
  std::string schema;
  std::string table;
  std::string resource;
};

// `find` is asked for each column; its error is the result. Too long a payload is an error as well.
Result<BoundPayload> bind_payload(const PayloadTemplate& source, const PayloadNames& names,
                                  const std::function<Result<BoundColumn>(const ColumnPath&)>& find);

}  // namespace cache_invalidate::core
