// Blind spots: rows that seem to belong to a covered table and change without its row triggers. Whoever makes one is
// warned.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// When a row trigger is made: inheritance children, unlogged and foreign tables, rows that move between partitions. May
// raise an error.
void warn_of_blind_spots(const Trigger& trigger, Relation table);

// When a table gets new parents by inheritance, a list of RangeVar. May raise an error.
void warn_of_parents(Oid child, const List* parents);

}  // namespace cache_invalidate::capture
