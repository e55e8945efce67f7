// Text between the database's encoding and UTF-8, in which keys and messages travel. A SQL_ASCII database knows
// no encoding: its bytes are passed on as they are.
#pragma once

#include <string>

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

inline bool needs_conversion() {
  const int encoding = GetDatabaseEncoding();
  return encoding != PG_UTF8 && encoding != PG_SQL_ASCII;
}

// Both return the text itself, or palloc'd memory, always ended by NUL if it was; both may raise an error.
inline const char* to_utf8(const char* text, std::size_t size) {
  return needs_conversion() ? pg_server_to_any(text, static_cast<int>(size), PG_UTF8) : text;
}
inline const char* to_utf8(const char* text) { return to_utf8(text, strlen(text)); }

inline const char* from_utf8(const std::string& text) {
  return needs_conversion() ? pg_any_to_server(text.c_str(), static_cast<int>(text.size()), PG_UTF8) : text.c_str();
}

// The same for what must not fail because of a character: names in the user's statement, what the worker reads, what
// is only shown. What is broken, or has no counterpart, becomes '?'; outside a transaction all that is not ASCII does.
const char* to_utf8_anyhow(const char* text);
const char* from_utf8_anyhow(const char* text);

}  // namespace cache_invalidate::pg
