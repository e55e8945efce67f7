// Resolves paths over foreign keys, from the catalogs to what a look-up needs.
#include "capture/foreign_path.hpp"

#include <algorithm>

#include "capture/inheritance.hpp"
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

core::Error locked_error(const core::ColumnPath& path) {
  return path_error(core::sqlstate::kLockNotAvailable, path, "A table that a foreign key points to is locked by somebody else.", "");
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
  foreach (cell, find_descendants(referenced)) {
    if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION) tables = lappend_oid(tables, lfirst_oid(cell));
  }
  return tables;
}

// Opens the relation; nullptr: somebody holds a lock for which we would have to wait, or it is gone. Where a trigger
// is made it waits, where one fires it must not: who holds the lock may wait for us.
Relation open_relation(Oid oid, bool may_wait) {
  if (may_wait) {
    LockRelationOid(oid, AccessShareLock);
  } else if (!ConditionalLockRelationOid(oid, AccessShareLock)) {
    return nullptr;
  }
  Relation relation = try_relation_open(oid, NoLock);
  if (relation == nullptr) UnlockRelationOid(oid, AccessShareLock);
  return relation;
}

// At any distance; the server's own function looks at the nearest only, and raises an error if REINDEX CONCURRENTLY exchanges it then.
Oid index_below(Relation partition, Oid index) {
  ListCell* cell;
  foreach (cell, RelationGetIndexList(partition)) {
    if (list_member_oid(find_ancestors(lfirst_oid(cell)), index)) return lfirst_oid(cell);
  }
  return InvalidOid;
}

// The table's part of the index. InvalidOid: a partition without it, which can't hold a row that is pointed to.
// False: it is locked.
bool find_index(Oid table, Oid referenced, Oid index, bool may_wait, Oid* found) {
  *found = index;
  if (table == referenced) return true;
  Relation partition = open_relation(table, may_wait);
  if (partition == nullptr) return false;
  *found = index_below(partition, index);
  relation_close(partition, AccessShareLock);
  return true;
}

class Resolver {
 public:
  Resolver(const core::ColumnPath& path, ForeignSteps& steps, PathDependencies* dependencies)
      : path_(path), steps_(steps), dependencies_(dependencies) {}

  // The step from `table` over the foreign key on the path's name number `place`.
  core::Result<std::shared_ptr<ForeignStep>> step(Relation table, std::size_t place) {
    KeyFacts key{};
    int count = 0;
    bool exists = false;
    const char* table_name = nullptr;
    pg::guarded([&] {
      table_name = pg::to_utf8_anyhow(RelationGetRelationName(table));
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
    const auto known = std::find_if(steps_.begin(), steps_.end(), [&](const auto& s) { return s->constraint == key.constraint; });
    if (known != steps_.end()) return *known;
    core::Result<std::shared_ptr<ForeignStep>> made = describe(key, table, what);
    if (made.ok()) steps_.push_back(made.value());
    return made;
  }

 private:
  bool may_wait() const { return dependencies_ != nullptr; }

  core::Result<std::shared_ptr<ForeignStep>> describe(const KeyFacts& key, Relation table, const std::string& what) {
    static std::uint32_t last_number = 0;
    auto result = std::make_shared<ForeignStep>();
    result->number = ++last_number;
    result->constraint = key.constraint;
    result->table = key.table;
    result->from.assign(key.from, key.from + key.count);
    result->keys.resize(static_cast<std::size_t>(key.count));
    bool usable = true;
    bool locked = false;
    List* tables = NIL;
    pg::guarded([&] {
      Relation index = open_relation(key.index, may_wait());
      locked = index == nullptr;
      if (locked) return;
      for (int i = 0; i < key.count; ++i) {
        usable = usable && describe_key_column(key, i, table, index, &result->keys[static_cast<std::size_t>(i)]);
      }
      relation_close(index, AccessShareLock);
      tables = find_tables(key.table);
    });
    if (!usable) {
      return path_error(core::sqlstate::kFeatureNotSupported, path_,
                        "The foreign key on " + what + " compares in a way that can't be looked up without a conversion.",
                        "Give both columns of the foreign key one type.");
    }
    result->tables.reserve(static_cast<std::size_t>(list_length(tables)));
    pg::guarded([&] {
      ListCell* cell;
      foreach (cell, tables) {
        Oid index = InvalidOid;
        locked = locked || !find_index(lfirst_oid(cell), key.table, key.index, may_wait(), &index);
        if (OidIsValid(index)) result->tables.push_back({lfirst_oid(cell), index, {}});
      }
    });
    if (locked) return locked_error(path_);
    if (dependencies_ != nullptr) dependencies_->constraints.push_back(key.constraint);
    return result;
  }

  const core::ColumnPath& path_;
  ForeignSteps& steps_;
  PathDependencies* dependencies_;
};

// The place of the column among those wanted of the step's row. It bears the same name in all partitions.
std::size_t want_column(ForeignStep& step, Relation referenced, AttrNumber number, PathDependencies* dependencies) {
  const auto known = std::find_if(step.columns.begin(), step.columns.end(), [number](const ForeignColumn& c) { return c.number == number; });
  const auto place = static_cast<std::size_t>(known - step.columns.begin());
  if (known != step.columns.end()) return place;
  const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(referenced), number - 1);
  step.columns.push_back({number, column->attbyval, column->attlen});
  for (ForeignTable& table : step.tables) {
    AttrNumber own = InvalidAttrNumber;
    pg::guarded([&] { own = get_attnum(table.table, NameStr(column->attname)); });
    table.columns.push_back(own);
  }
  if (dependencies != nullptr) dependencies->columns.emplace_back(step.table, number);
  return place;
}

}  // namespace

core::Result<ForeignPath> resolve_path(Relation table, const core::ColumnPath& path, ForeignSteps& steps,
                                       MemoryContext context, PathDependencies* dependencies) {
  ForeignPath result;
  Resolver resolver(path, steps, dependencies);
  core::Result<std::shared_ptr<ForeignStep>> next = resolver.step(table, 0);
  for (std::size_t place = 1; next.ok(); ++place) {
    const std::shared_ptr<ForeignStep> step = next.take();
    Relation referenced = nullptr;
    AttrNumber column = InvalidAttrNumber;
    pg::guarded([&] {
      referenced = open_relation(step->table, dependencies != nullptr);
      column = get_attnum(step->table, pg::from_utf8(path[place]));
    });
    if (referenced == nullptr) return locked_error(path);
    const bool is_last = place + 1 == path.size();
    std::vector<AttrNumber> columns{column};
    if (!is_last) {
      next = resolver.step(referenced, place);
      if (next.ok()) columns = next.value()->from;
    } else if (column <= 0) {
      next = path_error(core::sqlstate::kUndefinedColumn, path,
                        "There is no column \"" + path[place] + "\" in the table that the foreign key points to.",
                        "Name columns as the catalog spells them.");
    } else {
      next = step;
      pg::guarded([&] {
        result.reader = make_reader(RelationGetDescr(referenced), column, context);
        result.json_kind = json_kind_of(TupleDescAttr(RelationGetDescr(referenced), column - 1)->atttypid);
      });
    }
    if (next.ok()) {
      ForeignHop hop{step, {}};
      for (const AttrNumber number : columns) hop.wanted.push_back(want_column(*step, referenced, number, dependencies));
      result.hops.push_back(std::move(hop));
    }
    pg::guarded([&] { relation_close(referenced, AccessShareLock); });
    if (next.ok() && is_last) return result;
  }
  return next.error();
}

}  // namespace cache_invalidate::capture
