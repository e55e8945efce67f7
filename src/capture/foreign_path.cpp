// Resolves paths over foreign keys, from the catalogs to what a look-up needs.
#include "capture/foreign_path.hpp"

#include <algorithm>

#include "capture/table_facts.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

constexpr int kMostKeyColumns = INDEX_MAX_KEYS;

// A foreign key as the catalogs have it. Plain data.
struct KeyFacts {
  Oid constraint;
  Oid table;  // referenced
  Oid index;
  int count;
  AttrNumber from[kMostKeyColumns];
  AttrNumber to[kMostKeyColumns];
  Oid equality[kMostKeyColumns];  // operators, "referenced = referencing"
};

core::Error path_error(const char* code, const core::ColumnPath& path, std::string detail, std::string hint) {
  core::Error error;
  error.sqlstate = code;
  error.message = "placeholder \"{" + core::path_text(path) + "}\" can't be resolved";
  error.detail = std::move(detail);
  error.hint = std::move(hint);
  return error;
}

// A foreign key to a partitioned table has an entry for each partition too: only the topmost counts.
bool is_shadowed(const ForeignKeyCacheInfo* key, List* all) {
  if (!get_rel_relispartition(key->confrelid)) return false;
  List* ancestors = get_partition_ancestors(key->confrelid);
  ListCell* cell;
  foreach (cell, all) {
    if (list_member_oid(ancestors, static_cast<ForeignKeyCacheInfo*>(lfirst(cell))->confrelid)) return true;
  }
  return false;
}

Oid index_of_constraint(Oid constraint) {
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
  if (!HeapTupleIsValid(tuple)) return InvalidOid;
  const Oid index = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->conindid;
  ReleaseSysCache(tuple);
  return index;
}

// The foreign keys over the column; of those with the fewest columns, how many there are, and the first.
int find_keys(Relation table, AttrNumber column, KeyFacts* found) {
  List* all = RelationGetFKeyList(table);
  int count = 0;
  ListCell* cell;
  foreach (cell, all) {
    const auto* key = static_cast<const ForeignKeyCacheInfo*>(lfirst(cell));
    const AttrNumber* end = key->conkey + key->nkeys;
    if (std::find(key->conkey, end, column) == end || is_shadowed(key, all)) continue;
    if (count > 0 && key->nkeys > found->count) continue;
    if (count > 0 && key->nkeys == found->count) {
      ++count;
      continue;
    }
    count = 1;
    *found = KeyFacts{};
    found->constraint = key->conoid;
    found->table = key->confrelid;
    found->index = index_of_constraint(key->conoid);
    found->count = key->nkeys;
    std::copy_n(key->conkey, key->nkeys, found->from);
    std::copy_n(key->confkey, key->nkeys, found->to);
    std::copy_n(key->conpfeqop, key->nkeys, found->equality);
  }
  return count;
}

// Is it a function that only a superuser could have made?
bool is_trusted_function(Oid function) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return false;
  const Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prolang;
  ReleaseSysCache(tuple);
  return language == INTERNALlanguageId || language == ClanguageId;
}

// How the key's column number `i` is compared; false: not without a conversion or a function of somebody's own.
bool describe_key_column(const KeyFacts& key, int i, Relation table, Relation index, ForeignKeyColumn* column) {
  const Form_pg_attribute own = TupleDescAttr(RelationGetDescr(table), key.from[i] - 1);
  const int2vector& columns = index->rd_index->indkey;
  int place = 0;
  while (place < index->rd_index->indnkeyatts && columns.values[place] != key.to[i]) ++place;
  if (place == index->rd_index->indnkeyatts || index->rd_rel->relam != BTREE_AM_OID) return false;
  Oid left, right;
  op_input_types(key.equality[i], &left, &right);
  const RegProcedure equality = get_opcode(key.equality[i]);
  if (!is_trusted_function(equality) || !IsBinaryCoercible(getBaseType(own->atttypid), right)) return false;
  column->index_column = static_cast<AttrNumber>(place + 1);
  column->right_type = right == index->rd_opcintype[place] ? InvalidOid : right;
  column->collation = index->rd_indcollation[place];
  column->equality = equality;
  column->by_value = own->attbyval;
  column->length = own->attlen;
  return true;
}

// The tables that may hold a row of `referenced`: itself, or its partitions.
List* find_tables(Oid referenced) {
  if (get_rel_relkind(referenced) != RELKIND_PARTITIONED_TABLE) return list_make1_oid(referenced);
  List* tables = NIL;
  ListCell* cell;
  foreach (cell, find_all_inheritors(referenced, NoLock, nullptr)) {
    if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION) tables = lappend_oid(tables, lfirst_oid(cell));
  }
  return tables;
}

// The table's part of the index. InvalidOid: a partition without it, which can't hold a row that is pointed to.
Oid index_of(Oid table, Oid referenced, Oid index) {
  if (table == referenced) return index;
  Relation partition = table_open(table, AccessShareLock);
  const Oid own = index_get_partition(partition, index);
  table_close(partition, AccessShareLock);
  return own;
}

class Resolver {
 public:
  Resolver(const core::ColumnPath& path, PathDependencies* dependencies) : path_(path), dependencies_(dependencies) {}

  // The step from `table` over the foreign key on the path's name number `place`. `start`: the columns that point.
  core::Result<ForeignStep> step(Relation table, std::size_t place, std::vector<AttrNumber>& start) {
    KeyFacts key{};
    int count = 0;
    bool exists = false;
    const char* table_name = nullptr;
    pg::guarded([&] {
      table_name = pg::to_utf8(RelationGetRelationName(table));
      const AttrNumber column = get_attnum(RelationGetRelid(table), pg::from_utf8(path_[place]));
      exists = column > 0;
      if (exists) count = find_keys(table, column, &key);
    });
    const std::string what = "column \"" + path_[place] + "\" of table \"" + table_name + "\"";
    if (!exists) {
      return path_error(core::sqlstate::kUndefinedColumn, path_, "There is no " + what + ".", "Name columns as the catalog spells them.");
    }
    if (count != 1) {
      return path_error(count == 0 ? core::sqlstate::kUndefinedColumn : "42P09", path_,
                        (count == 0 ? "There is no foreign key on " : "There is more than one foreign key on ") + what + ".",
                        "Each name but the last must be a column with one foreign key.");
    }
    return describe(key, table, what, start);
  }

 private:
  core::Result<ForeignStep> describe(const KeyFacts& key, Relation table, const std::string& what, std::vector<AttrNumber>& start) {
    static std::uint32_t last_number = 0;
    ForeignStep result;
    result.number = ++last_number;
    result.table = key.table;
    result.keys.resize(static_cast<std::size_t>(key.count));
    start.assign(key.from, key.from + key.count);
    bool usable = OidIsValid(key.index);
    List* tables = NIL;
    pg::guarded([&] {
      if (!usable) return;
      Relation index = index_open(key.index, AccessShareLock);
      for (int i = 0; i < key.count; ++i) usable = usable && describe_key_column(key, i, table, index, &result.keys[static_cast<std::size_t>(i)]);
      index_close(index, AccessShareLock);
      tables = find_tables(key.table);
    });
    if (!usable) {
      return path_error(core::sqlstate::kFeatureNotSupported, path_,
                        "The foreign key on " + what + " compares in a way that can't be looked up without a conversion.",
                        "Give both columns of the foreign key one type.");
    }
    result.tables.reserve(static_cast<std::size_t>(list_length(tables)));
    pg::guarded([&] {
      ListCell* cell;
      foreach (cell, tables) {
        const Oid index = index_of(lfirst_oid(cell), key.table, key.index);
        if (OidIsValid(index)) result.tables.push_back({lfirst_oid(cell), index, {}});
      }
    });
    if (dependencies_ != nullptr) dependencies_->constraints.push_back(key.constraint);
    return result;
  }

  const core::ColumnPath& path_;
  PathDependencies* dependencies_;
};

// Notes which columns of the step's table are wanted. They bear the same names in all its partitions.
void take_columns(ForeignStep& step, Relation referenced, const std::vector<AttrNumber>& columns, PathDependencies* dependencies) {
  for (ForeignTable& table : step.tables) table.take.resize(columns.size());
  step.taken_by_value.resize(columns.size());
  step.taken_length.resize(columns.size());
  pg::guarded([&] {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(referenced), columns[i] - 1);
      step.taken_by_value[i] = column->attbyval;
      step.taken_length[i] = column->attlen;
      for (ForeignTable& table : step.tables) table.take[i] = get_attnum(table.table, NameStr(column->attname));
    }
  });
  if (dependencies == nullptr) return;
  for (const AttrNumber column : columns) dependencies->columns.emplace_back(step.table, column);
}

}  // namespace

core::Result<ForeignPath> resolve_path(Relation table, const core::ColumnPath& path, MemoryContext context,
                                       PathDependencies* dependencies) {
  ForeignPath result;
  Resolver resolver(path, dependencies);
  core::Result<ForeignStep> step = resolver.step(table, 0, result.start);
  for (std::size_t place = 1; step.ok(); ++place) {
    result.steps.push_back(step.take());
    Relation referenced = nullptr;
    AttrNumber column = InvalidAttrNumber;
    pg::guarded([&] {
      referenced = table_open(result.steps.back().table, AccessShareLock);
      column = get_attnum(result.steps.back().table, pg::from_utf8(path[place]));
    });
    const bool is_last = place + 1 == path.size();
    std::vector<AttrNumber> columns{column};
    if (!is_last) {
      step = resolver.step(referenced, place, columns);
    } else if (column <= 0) {
      step = path_error(core::sqlstate::kUndefinedColumn, path,
                        "There is no column \"" + path[place] + "\" in the table that the foreign key points to.",
                        "Name columns as the catalog spells them.");
    } else {
      pg::guarded([&] {
        result.reader = make_reader(RelationGetDescr(referenced), column, context);
        result.json_kind = json_kind_of(TupleDescAttr(RelationGetDescr(referenced), column - 1)->atttypid);
      });
    }
    if (step.ok()) take_columns(result.steps.back(), referenced, columns, dependencies);
    pg::guarded([&] { table_close(referenced, AccessShareLock); });
    if (step.ok() && is_last) return result;
  }
  return step.error();
}

}  // namespace cache_invalidate::capture
