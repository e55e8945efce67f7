// The triggers of a table as enable_cache_invalidation() and disable_cache_invalidation() look at them. They are known by
// name: a row trigger cache_invalidation_TABLE, and cache_invalidation_TABLE_truncate beside it, on the table that was
// enabled and on its partitions and children.
#pragma once

#include <cstdint>

#include "pg/postgres.hpp"

namespace cache_invalidate::admin {

struct AttachedTrigger {
  const char* name;
  bool is_ours;    // calls notify_cache_invalidation()
  bool is_clone;   // of a partitioned table's
  bool is_plain;   // no WHEN, no columns, no constraint, no transition tables
  std::int16_t type;
  char firing;
  List* arguments;  // of char*
};

// AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW, and AFTER TRUNCATE.
inline constexpr std::int16_t kRowType = TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;
inline constexpr std::int16_t kTruncateType = TRIGGER_TYPE_TRUNCATE;

// All of these may raise an error, and lock nothing.

// Of AttachedTrigger*, by name; without the server's own.
List* read_attached(Oid table);
const AttachedTrigger* find_attached(const List* triggers, const char* name);

// Names of the triggers of a table of this name: whole characters, at most as long as a name may be.
char* row_trigger_name(const char* table);
char* truncate_trigger_name(const char* table);

// Does it have such a name?
bool is_named_by_us(const char* trigger);
// The name of the TRUNCATE trigger that belongs to a row trigger of such a name.
char* companion_name(const char* row_trigger);

bool same_arguments(const List* left, const List* right);

// Does it belong to a table above this one, which is not in the tree: has that one of this name?
bool belongs_above(Oid table, const char* trigger, const List* tree);

}  // namespace cache_invalidate::admin
