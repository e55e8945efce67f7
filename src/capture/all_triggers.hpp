// All triggers of the database that call notify_cache_invalidation(), as the catalogs have them: for what is asked for
// by hand, and not by a change of a row.
#pragma once

#include <string>

#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// The texts are UTF-8.
struct FoundTrigger {
  Oid oid;
  Oid parent;  // InvalidOid: it is no partition's clone
  Oid relation;
  Oid owner;   // of its table
  const char* name;
  const char* table;
  const char* schema;
  int count;
  const char** arguments;
};

// In memory of the context that they were found in, in the order of their numbers.
struct FoundTriggers {
  FoundTrigger* first = nullptr;
  int count = 0;
  int room = 0;

  void add(const FoundTrigger& trigger);
  const FoundTrigger* find(Oid oid) const;
};

// All that may fire, in whatever session. Locks no table. May raise an error.
FoundTriggers find_triggers();

// The arguments of a row of pg_trigger, as many as it says.
const char** read_trigger_arguments(HeapTuple tuple, TupleDesc descriptor);

// A clone that goes where the trigger goes that it was cloned from: everywhere, or if `by_owner` where the owner of
// its table may.
bool is_repeated(const FoundTriggers& all, const FoundTrigger& trigger, bool by_owner);

// What its arguments say; `problem`: what of them can't be used.
core::RuleSpec usable_arguments(const FoundTrigger& trigger, std::string& problem);

}  // namespace cache_invalidate::capture
