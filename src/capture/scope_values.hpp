// Values that somebody names by hand, as a JSON object of columns, in the text that the row reader would give them.
//
// Whose function runs? Nobody's: who asks need not know the tables that it concerns, so a table's owner shall not get
// code run by him. Types whose input could call a function of a user (domains' checks, in composites and arrays too)
// are read without that, or not at all.
#pragma once

#include "core/expand.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// Of the column of the open table. A member that is JSON null is NULL; what is no member, or of a type that cannot be
// read, is unknown. What is no value of the column's type raises an error.
core::Value read_scope_value(Relation table, AttrNumber column, Jsonb* object);

}  // namespace cache_invalidate::capture
