// What the catalogs say of a table and a trigger, in the core's terms.
#pragma once

#include <string>
#include <vector>

#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// The table by whose name messages go: of a partition its root, else the table itself. May raise an error.
Oid reported_table(Relation table);

// A trigger as the error log and get_cache_trigger_health() name it, in UTF-8. May raise an error.
const char* describe_trigger(const char* name, Oid table);

// How a value of the type stands in JSON. May raise an error.
core::JsonKind json_kind_of(Oid type);

// Raises an error unless the current user may SELECT the column.
void require_select(Oid table, AttrNumber column);

// These two may raise an error: call them guarded, since what they fill is owned by the caller.

// Partitions are described under the name of their root.
void read_table_facts(Relation table, core::TableFacts& facts);

// The trigger's arguments; UTF-8 whatever the database's encoding.
void read_arguments(const Trigger& trigger, std::vector<std::string>& arguments);

}  // namespace cache_invalidate::capture
