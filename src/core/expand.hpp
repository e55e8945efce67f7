// From the values of a row to keys, ids and fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/rule.hpp"

namespace cache_invalidate::core {

// A value in text form (UTF-8). Plain data, so that the server may fill it.
struct Value {
  enum class State : std::uint8_t {
    null,
    known,
    unknown  // it could not be read or found
  };

  const char* data = nullptr;
  std::uint32_t size = 0;
  State state = State::null;

  std::string_view text() const { return {data, size}; }
};

enum class Expansion : std::uint8_t {
  none,    // a placeholder is NULL: the template does not apply
  exact,
  widened  // a glob: "*" stands for what is unknown
};

// A key longer than this is widened: Redis would rather close the connection than take a very long one.
inline constexpr std::size_t kLongestKey = 1024 * 1024;

// Replaces `out` by the expansion.
Expansion expand(const BoundTemplate& source, const Value* values, std::string& out);

// The same for a template whose own text is a glob; the values are escaped.
Expansion expand_glob(const BoundTemplate& source, const Value* values, std::string& out);

// The glob of everything that the template could ever give: placeholders become "*". `is_glob`: its own text is
// glob already, else it is escaped.
std::string widen(const Template& source, bool is_glob);

// Appends `text` so that a glob takes it literally.
void append_glob_literal(std::string& out, std::string_view text);

// Does this id name one record? Not if it was given as a template, and not if a value of a composite key contains
// the separator.
bool is_exact_id(const Rule& rule, std::string_view id);

// Replaces `out` by the JSON fragment of the fields, "\"a\":1,\"b\":null"; a field that is unknown is left out.
void render_fields(const std::vector<BoundField>& fields, const Value* values, std::string& out);

}  // namespace cache_invalidate::core
