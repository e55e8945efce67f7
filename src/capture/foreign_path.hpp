// Foreign path: what {call_id.user_id} means: a value of the row that a foreign key points to, and on from there.
//
// The rows are fetched through the index that the foreign key itself uses: no SQL, no planner, no privileges but
// those of the server, and no function but the built-in or C equality of the key's type.
#pragma once

#include <vector>

#include "capture/row_reader.hpp"
#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// One of the tables that may hold the row: the referenced table itself, or each of its partitions.
struct ForeignTable {
  Oid table;
  Oid index;
  std::vector<AttrNumber> take;  // the columns that are wanted of the row
};

struct ForeignKeyColumn {
  AttrNumber index_column;
  Oid right_type;      // of the equality; InvalidOid: the index' own
  Oid collation;
  RegProcedure equality;
  bool by_value;       // of the column that points
  std::int16_t length;
};

// From a row to the row that it points to.
struct ForeignStep {
  std::uint32_t number;                 // unlike any other step's in this backend
  Oid table;                            // referenced, whether partitioned or not
  std::vector<ForeignKeyColumn> keys;
  std::vector<ForeignTable> tables;
  std::vector<bool> taken_by_value;     // of the columns taken, and their lengths
  std::vector<std::int16_t> taken_length;
};

struct ForeignPath {
  std::vector<AttrNumber> start;  // the columns of the triggering row that point
  std::vector<ForeignStep> steps;
  ColumnReader reader;            // of the value at the end
  core::JsonKind json_kind = core::JsonKind::text;
};

// What a trigger that uses the path depends on.
struct PathDependencies {
  std::vector<Oid> constraints;
  std::vector<std::pair<Oid, AttrNumber>> columns;
};

// Resolves the path from the table on. An Error says which name is wrong and why. `context` owns what the reader
// keeps. May raise an error; it guards its own calls.
core::Result<ForeignPath> resolve_path(Relation table, const core::ColumnPath& path, MemoryContext context,
                                       PathDependencies* dependencies);

}  // namespace cache_invalidate::capture
