// The triggers of the database that call notify_cache_invalidation(), as the catalogs have them: for what is asked for
// by hand, and not by a change of a row, and for views.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// Plain data; the texts are UTF-8.
struct FoundTrigger {
  Oid oid;
  Oid parent;  // InvalidOid: it is no partition's clone
  Oid relation;
  Oid owner;   // of its table
  std::int16_t type;
  char enabled;
  const char* name;
  const char* table;
  const char* schema;
  const char* quoted;  // the trigger's name and the table's, as statements spell them
  const char* quoted_table;
  int count;
  const char** argument;
  std::vector<std::string> arguments() const { return std::vector<std::string>(argument, argument + count); }
};

// In memory of the context that they were found in, in the order of their numbers.
struct FoundTriggers {
  FoundTrigger* first = nullptr;
  int count = 0;
  int room = 0;

  void add(const FoundTrigger& trigger);
  const FoundTrigger* find(Oid oid) const;
};

enum class Which {
  enabled,   // all that may fire, in whatever session; clones too
  no_clones  // all that somebody made, disabled ones too
};

// Locks no table. May raise an error.
FoundTriggers find_triggers(Which which);

// A clone that goes where the trigger goes that it was cloned from: everywhere, or if `by_owner` where the owner of
// its table may.
bool is_repeated(const FoundTriggers& all, const FoundTrigger& trigger, bool by_owner);

// What its arguments say; `problem`: what of them can't be used.
core::RuleSpec usable_arguments(const FoundTrigger& trigger, std::string& problem);

}  // namespace cache_invalidate::capture
