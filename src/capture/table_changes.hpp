// Changes of a whole table that fire no row trigger: what the table's row triggers could name is widened, in the
// firing mode that they have, and as if they had fired.
//
// None of it fails the statement, but for a cancel and lack of memory: what can't be noted is told by a warning and
// in the error log.
#pragma once

#include "core/batch.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// Would this trigger of ours fire for a row that changes now?
bool fires_for_rows(const Trigger& trigger);

// Has the table a trigger of ours for rows, whether or not it would fire? Locks nothing. May raise an error.
bool has_row_triggers(Oid table);

// The table of the trigger if it is one of ours, else InvalidOid. Locks nothing. May raise an error.
Oid find_table_of_trigger(Oid trigger);

// Ours of that number, in memory of the current context, or nullptr. May raise an error.
const Trigger* find_trigger(Relation table, Oid oid);

// The table is open and locked. Which of its rows changed cannot be told.
void note_table_change(Relation table, core::Operation operation);

// Could anybody have seen rows of it? Not if it is empty, was made by this transaction, or has partitions in its
// place. Certain only while writers are locked out. May raise an error.
bool may_have_rows(Relation table);

// Has the table, or one of its partitions, a row that is visible now? Large and locked ones are taken to have one,
// since to look would take too long. May raise an error.
bool has_visible_row(Oid table);

// Tells the session, and the error log, what went uncaptured. Raises an error only for lack of memory.
// `trigger`: as describe_trigger() says.
void report_uncaptured(Oid table, const char* trigger, core::Operation operation, const char* problem);

}  // namespace cache_invalidate::capture
