// The arguments of enable_cache_invalidation(), and what becomes of them: arguments of the triggers.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::admin {

// Lists of char*, in the current context and the database's encoding.
struct AttachOptions {
  List* keys;
  List* patterns;
  List* before;  // what else there is, as "name=value"
  List* after;
  bool always;
};

// From the second argument of the call on. May raise an error.
AttachOptions read_attach_options(FunctionCallInfo fcinfo);

// For the triggers of a table of these names. May raise an error.
List* trigger_arguments(const AttachOptions& options, const char* schema, const char* table);

// Raises an error for what is wrong with them whatever the table.
void check_arguments(const List* arguments);

}  // namespace cache_invalidate::admin
