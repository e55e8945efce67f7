// The key TABLE:ID in the cache, out of what the alternatives say about a change.
#pragma once

#include <string>
#include <string_view>

namespace cache_invalidate::bench {

// Of contrib's tcn: "item",U,"id"='1'
std::string key_of_tcn(std::string_view payload);

// Of wal2json, format version 2: {"action":"U","schema":"public","table":"item","columns":[{"name":"id",
// "value":1},...],"identity":[...]}. Empty: it is not about a row.
std::string key_of_wal2json(std::string_view change);

}  // namespace cache_invalidate::bench
