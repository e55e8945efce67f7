// Row reader: column values as text, the same text in every session whatever its settings.
#pragma once

#include "core/expand.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

enum class TextForm : std::uint8_t { int2, int4, int8, text, uuid, boolean, output_function };

// How to read one column. Plain data but for `output`, which lives in the rule's memory context.
struct ColumnReader {
  AttrNumber number;
  TextForm form;
  bool by_value;
  std::int16_t length;
  bool heeds_locale;  // or the search path: its output function must be called under more settings than the usual
  bool only_field;    // stands in messages only, and not in their id
  FmgrInfo output;
};

// May raise an error. `context` owns what the reader keeps.
ColumnReader make_reader(TupleDesc descriptor, AttrNumber number, MemoryContext context);

// The text of a value, in the current memory context or where the value is. What can't be read is unknown; returns
// why, or nullptr.
const char* read_value(const ColumnReader& reader, Datum datum, core::Value& value);

// The same of a column of a row, which may be NULL.
const char* read_column(const ColumnReader& reader, TupleTableSlot* row, core::Value& value);

// Is the column the same in both rows, bit by bit? A false "no" costs only the work of looking twice.
bool same_image(AttrNumber number, TupleTableSlot* a, TupleTableSlot* b);

// Did any of the columns change its value? Looks into toasted values.
bool any_changed(const AttrNumber* numbers, std::size_t count, TupleTableSlot* a, TupleTableSlot* b);

// The command of this transaction that made this version of a row, and the one that ended it.
CommandId made_by(TupleTableSlot* row);
CommandId ended_by(TupleTableSlot* row);

// Did any column at all?
bool row_changed(TupleTableSlot* a, TupleTableSlot* b);

}  // namespace cache_invalidate::capture
