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
  FmgrInfo output;
};

// May raise an error. `context` owns what the reader keeps.
ColumnReader make_reader(TupleDesc descriptor, AttrNumber number, MemoryContext context);

// Fills values[0..count) from the row; the text lives in the current memory context (or in the row). False:
// a type's output function raised an error, whose message is in `problem`.
bool read_row(const ColumnReader* readers, int count, TupleTableSlot* row, core::Value* values, const char** problem);

// Are the columns the same in both rows, bit by bit? A false "no" costs only the work of looking twice.
bool same_image(const ColumnReader* readers, int count, TupleTableSlot* a, TupleTableSlot* b);

// Did any of the columns change its value? Looks into toasted values.
bool any_changed(TupleDesc descriptor, const AttrNumber* numbers, std::size_t count, TupleTableSlot* a, TupleTableSlot* b);

}  // namespace cache_invalidate::capture
