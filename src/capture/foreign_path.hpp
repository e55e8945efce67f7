// Foreign path: what {call_id.user_id} means: a value of the row that a foreign key points to, and on from there.
//
// The rows are fetched through the index that the foreign key itself uses: no SQL, no planner, no privileges but
// those of the server, and no function but the built-in or C equality of the key's type.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "capture/row_reader.hpp"
#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// One of the tables that may hold the row: the referenced table itself, or each of its partitions.
struct ForeignTable {
  Oid table;
  Oid index;
  std::vector<AttrNumber> columns;  // where it has ForeignStep::columns
};

struct ForeignKeyColumn {
  AttrNumber index_column;
  Oid right_type;      // of the equality; InvalidOid: the index' own
  Oid collation;
  RegProcedure equality;
  bool by_value;       // of the column that points
  std::int16_t length;
};

// A column that is wanted of the row that is pointed to.
struct ForeignColumn {
  AttrNumber number;   // in the referenced table
  bool by_value;
  std::int16_t length;
};

// From a row to the row that it points to. All paths of a rule that go over one foreign key share it, so that the
// row is looked up once for all of them.
struct ForeignStep {
  std::uint32_t number;                 // unlike any other step's in this backend
  Oid constraint;
  Oid table;                            // referenced, whether partitioned or not
  std::vector<AttrNumber> from;         // the columns that point
  std::vector<ForeignKeyColumn> keys;
  std::vector<ForeignTable> tables;
  std::vector<ForeignColumn> columns;
};
using ForeignSteps = std::vector<std::shared_ptr<ForeignStep>>;

struct ForeignHop {
  std::shared_ptr<const ForeignStep> step;
  std::vector<std::size_t> wanted;  // of the step's columns: those that point on, or the one at the end
};

struct ForeignPath {
  std::vector<ForeignHop> hops;
  ColumnReader reader;              // of the value at the end
  core::JsonKind json_kind = core::JsonKind::text;
};

// What a trigger that uses the path depends on.
struct PathDependencies {
  std::vector<Oid> constraints;
  std::vector<std::pair<Oid, AttrNumber>> columns;
};

// Resolves the path from the table on. An Error says which name is wrong and why. `steps`: of the other paths of the
// rule. `context` owns what the reader keeps. With `dependencies`, for a trigger that is being made, it waits for locks;
// else it does not, and the Error is lock_not_available. May raise an error; it guards its own calls.
core::Result<ForeignPath> resolve_path(Relation table, const core::ColumnPath& path, ForeignSteps& steps,
                                       MemoryContext context, PathDependencies* dependencies);

}  // namespace cache_invalidate::capture
