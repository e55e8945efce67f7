// A change that nobody makes: rows built from JSON, and whether a trigger would fire for them.
#pragma once

#include "core/batch.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::admin {

struct ImaginedChange {
  Relation table;
  core::Operation operation;
  TupleTableSlot* before = nullptr;  // of an UPDATE or DELETE
  TupleTableSlot* after = nullptr;   // of an INSERT or UPDATE
};

// A row of the table with the members of the JSON object: what is missing is NULL, what is no column is told by a
// NOTICE. Nothing is computed or checked but what the columns' types ask for. The caller drops the slot.
TupleTableSlot* make_row(Relation table, Jsonb* object);

// Why the trigger, one that is for the operation, does not fire for the change; nullptr: it fires. Evaluates its WHEN
// condition as the caller, as the change itself would. An UPDATE OF trigger fires if one of its columns differs.
const char* why_silent(const ImaginedChange& change, const Trigger& trigger);

}  // namespace cache_invalidate::admin
