#include "capture/foreign_lookup.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "capture/transaction.hpp"
#include "pg/crash_point.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::capture {
namespace {

// More would cost more memory than looking up again costs time.
constexpr std::size_t kMostFound = 100000;
constexpr Size kMostBytes = 16 * 1024 * 1024;

// The columns taken of a row, in the memory context of the cache. Plain data.
struct FoundRow {
  bool exists = false;
  Datum* values = nullptr;
  bool* nulls = nullptr;
};
struct Found {
  FoundRow now;
  FoundRow before;
  bool locked = false;  // by somebody who would have made us wait
};

struct Cache {
  std::unordered_map<std::string, Found> found;
  std::vector<Oid> tables;  // that were looked into
  CommandId command = 0;    // up to which the rows found are known to be what they were
  std::string key;          // reused
  MemoryContext context = nullptr;
};

// Never destroyed: the server's exit handlers may still run our callbacks.
Cache& cache() {
  static Cache* instance = new Cache();
  return *instance;
}

void copy_row(const ForeignStep& step, const ForeignTable& table, TupleTableSlot* slot, FoundRow* row) {
  const std::size_t count = step.columns.size();
  row->values = static_cast<Datum*>(palloc(sizeof(Datum) * count));
  row->nulls = static_cast<bool*>(palloc(sizeof(bool) * count));
  for (std::size_t i = 0; i < count; ++i) {
    const ForeignColumn& column = step.columns[i];
    const Datum value = slot_getattr(slot, table.columns[i], &row->nulls[i]);
    if (row->nulls[i]) continue;
    // What is out of line now may be gone when it is used.
    row->values[i] = column.length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(value)) : datumCopy(value, column.by_value, column.length);
  }
  row->exists = true;
}

// Fetches the row as `snapshot` sees it; true if this transaction has written it.
bool fetch(const ForeignStep& step, const ForeignTable& from, Relation table, Relation index, Snapshot snapshot,
           ScanKey keys, FoundRow* row) {
  bool own = false;
  TupleTableSlot* slot = table_slot_create(table, nullptr);
  const int count = static_cast<int>(step.keys.size());
  IndexScanDesc scan = pg::begin_index_scan(table, index, snapshot, count);
  index_rescan(scan, keys, count, nullptr, 0);
  if (index_getnext_slot(scan, ForwardScanDirection, slot)) {
    bool is_null;
    const Datum xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &is_null);
    own = !is_null && TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
    copy_row(step, from, slot, row);
  }
  index_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
  return own;
}

// Both states of the row, if it is in this table.
void fetch_both(const ForeignStep& step, const ForeignTable& from, const Datum* values, Found* found) {
  // Never waits for a lock: somebody may hold it who waits for us.
  if (!ConditionalLockRelationOid(from.table, AccessShareLock)) {
    found->locked = true;
    return;
  }
  if (!ConditionalLockRelationOid(from.index, AccessShareLock)) {
    UnlockRelationOid(from.table, AccessShareLock);
    found->locked = true;
    return;
  }
  Relation table = try_relation_open(from.table, NoLock);
  Relation index = table == nullptr ? nullptr : try_relation_open(from.index, NoLock);
  if (index != nullptr) {
    ScanKeyData keys[INDEX_MAX_KEYS];
    for (std::size_t i = 0; i < step.keys.size(); ++i) {
      const ForeignKeyColumn& key = step.keys[i];
      ScanKeyEntryInitialize(&keys[i], 0, key.index_column, BTEqualStrategyNumber, key.right_type, key.collation,
                             key.equality, values[i]);
    }
    // What the current command itself did counts, which no snapshot of the command's shows.
    const bool own = fetch(step, from, table, index, SnapshotSelf, keys, &found->now);
    if (own || !found->now.exists) {
      Snapshot before = RegisterSnapshot(GetLatestSnapshot());
      before->curcid = FirstCommandId;
      fetch(step, from, table, index, before, keys, &found->before);
      UnregisterSnapshot(before);
    }
    relation_close(index, NoLock);
  }
  if (table != nullptr) relation_close(table, NoLock);
  if (found->now.exists || found->before.exists) return;
  // A parent may have more partitions than the server has locks to give.
  UnlockRelationOid(from.index, AccessShareLock);
  UnlockRelationOid(from.table, AccessShareLock);
}

// The row is in one of the tables; if this transaction moved it between partitions, its states are in two.
void fetch_from_all(const ForeignStep& step, const Datum* values, Found* found) {
  for (const ForeignTable& table : step.tables) {
    Found here;
    fetch_both(step, table, values, &here);
    if (here.now.exists) found->now = here.now;
    if (here.before.exists) found->before = here.before;
    found->locked = found->locked || here.locked;
    if (here.now.exists && !here.before.exists) break;
  }
  // A row that nobody of us touched is what it was; one that we deleted, or made, has one state only.
  if (!found->before.exists) found->before = found->now;
  if (!found->now.exists) found->now = found->before;
}

void append_key(std::string& key, Datum value, bool by_value, std::int16_t length) {
  if (by_value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof value);
    return;
  }
  const char* data = DatumGetPointer(value);
  const Size size = length == -1 ? VARSIZE_ANY(data) : datumGetSize(value, false, length);
  key.append(data, size);
}

void note_tables(const ForeignStep& step) {
  note_use();
  std::vector<Oid>& tables = cache().tables;
  if (tables.empty()) cache().command = GetCurrentCommandId(false);
  for (const ForeignTable& table : step.tables) {
    if (std::find(tables.begin(), tables.end(), table.table) == tables.end()) tables.push_back(table.table);
  }
}

// What this transaction changes itself may not be what was found: then it is looked up again by each command. Whoever
// changes a table holds this lock on it until the transaction ends.
void forget_what_may_have_changed() {
  Cache& known = cache();
  const CommandId command = GetCurrentCommandId(false);
  if (known.tables.empty() || known.command == command) return;
  known.command = command;
  const auto may_change = [](Oid table) { return pg::holds_table_lock(table, RowExclusiveLock); };
  if (std::any_of(known.tables.begin(), known.tables.end(), may_change)) forget_found();
}

const Found* look_up(const ForeignStep& step, const Datum* values) {
  Cache& known = cache();
  known.key.assign(reinterpret_cast<const char*>(&step.number), sizeof step.number);
  for (std::size_t i = 0; i < step.keys.size(); ++i) append_key(known.key, values[i], step.keys[i].by_value, step.keys[i].length);
  const auto place = known.found.find(known.key);
  if (place != known.found.end()) return &place->second;
  note_tables(step);
  Found found;
  pg::guarded([&] {
    if (known.context == nullptr) {
      known.context = AllocSetContextCreate(TopMemoryContext, "cache_invalidate look-ups", ALLOCSET_DEFAULT_SIZES);
    }
    MemoryContext previous = MemoryContextSwitchTo(known.context);
    CACHE_INVALIDATE_CRASH_POINT("capture.lookup", fails);
    fetch_from_all(step, values, &found);
    MemoryContextSwitchTo(previous);
  });
  return &known.found.emplace(known.key, found).first->second;
}

// How far a path has been followed, in one state of the rows on its way.
struct Walk {
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
  core::Value::State state = core::Value::State::known;
};

// Goes to the row that the values point to, and takes from it what the hop wants.
void advance(const ForeignHop& hop, bool to_now, Walk& walk, const char** problem) {
  if (walk.state != core::Value::State::known) return;
  if (std::any_of(walk.nulls, walk.nulls + hop.step->keys.size(), [](bool is_null) { return is_null; })) {
    walk.state = core::Value::State::null;
    return;
  }
  const Found* found = look_up(*hop.step, walk.values);
  const FoundRow& row = to_now ? found->now : found->before;
  if (!row.exists) {
    walk.state = core::Value::State::unknown;
    if (found->locked) *problem = "a table that a foreign key points to is locked by somebody else";
    return;
  }
  for (std::size_t i = 0; i < hop.wanted.size(); ++i) {
    walk.values[i] = row.values[hop.wanted[i]];
    walk.nulls[i] = row.nulls[hop.wanted[i]];
  }
}

void read_end(const ForeignPath& path, const Walk& walk, core::Value& value, const char** problem) {
  value = core::Value();
  value.state = walk.state;
  if (walk.state != core::Value::State::known) return;
  if (walk.nulls[0]) {
    value.state = core::Value::State::null;
  } else {
    const char* failed = read_value(path.reader, walk.values[0], value);
    if (failed != nullptr) *problem = failed;
  }
}

}  // namespace

void begin_look_ups() {
  forget_what_may_have_changed();
  const Cache& known = cache();
  if (known.found.size() >= kMostFound || (known.context != nullptr && MemoryContextMemAllocated(known.context, false) >= kMostBytes)) {
    forget_found();
  }
}

bool follow(const ForeignPath& path, TupleTableSlot* row, core::Value& now, core::Value& before, const char** problem) {
  const ForeignStep& first = *path.hops.front().step;
  Walk newest;
  for (std::size_t i = 0; i < first.from.size(); ++i) {
    newest.values[i] = slot_getattr(row, first.from[i], &newest.nulls[i]);
    if (!newest.nulls[i] && first.keys[i].length == -1) {
      newest.values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(newest.values[i]));
    }
  }
  Walk oldest = newest;
  for (const ForeignHop& hop : path.hops) {
    advance(hop, true, newest, problem);
    advance(hop, false, oldest, problem);
  }
  read_end(path, newest, now, problem);
  if (newest.state == oldest.state && newest.values[0] == oldest.values[0] && newest.nulls[0] == oldest.nulls[0]) {
    before = now;
    return false;
  }
  read_end(path, oldest, before, problem);
  return now.state != before.state || now.text() != before.text();
}

void forget_found() noexcept {
  Cache& known = cache();
  if (known.tables.empty()) return;
  known.found.clear();
  known.tables.clear();
  if (known.context != nullptr) MemoryContextReset(known.context);
}

}  // namespace cache_invalidate::capture
