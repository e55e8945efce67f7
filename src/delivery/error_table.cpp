#include "delivery/error_table.hpp"

#include "pg/clock.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

// The columns of the table.
enum Column : int { kId = 1, kTable, kOperation, kMessage, kContext, kOccurred, kOccurrences, kLastOccurred };
constexpr int kColumns = kLastOccurred;
constexpr Oid kTypes[kColumns] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID};

const char* check_columns(Relation table) {
  TupleDesc descriptor = RelationGetDescr(table);
  if (descriptor->natts < kColumns) return "it lacks columns";
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute column = TupleDescAttr(descriptor, i);
    if (i < kColumns) {
      if (column->attisdropped || column->atttypid != kTypes[i]) return "its columns were changed";
    } else if (!column->attisdropped && column->attnotnull) {
      return "a column was added that must not be null";
    }
  }
  if (descriptor->constr == nullptr) return nullptr;
  if (descriptor->constr->num_check > 0) return "it has a check constraint";
  return descriptor->constr->has_generated_stored ? "it has a generated column" : nullptr;
}

Datum text_of(const std::string& text) { return CStringGetTextDatum(pg::from_utf8_anyhow(text.c_str())); }

Datum time_of(std::int64_t time) { return TimestampTzGetDatum(pg::server_time(time)); }

}  // namespace

ErrorTable::ErrorTable(const pg::Extension& extension) {
  // Rows may be stored out of line.
  PushActiveSnapshot(GetTransactionSnapshot());
  problem_ = open_table(extension);
}

const char* ErrorTable::open_table(const pg::Extension& extension) {
  const Oid oid = extension.error_log;
  if (!ConditionalLockRelationOid(oid, RowExclusiveLock)) return "it is locked";
  table_ = try_relation_open(oid, NoLock);
  if (table_ == nullptr) return "it is gone";
  // By the names of other things, too: whoever may change these owns them.
  if (table_->rd_rel->relkind != RELKIND_RELATION || table_->rd_tableam != GetHeapamTableAmRoutine()) return "it is no ordinary table";
  const char* problem = check_columns(table_);
  if (problem == nullptr) problem = check_indexes();
  if (problem != nullptr) return problem;
  sequence_ = pg::identity_sequence(table_, kId);
  return OidIsValid(sequence_) ? nullptr : "its numbers have no sequence";
}

const char* ErrorTable::check_indexes() {
  const char* problem = nullptr;
  List* indexes = RelationGetIndexList(table_);
  ListCell* cell;
  foreach (cell, indexes) {
    // Whoever makes or drops one has a lock that excludes ours, unless concurrently: then it waits for us.
    Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
    const Form_pg_index form = index->rd_index;
    // Not as the relation cache gives them, which folds constants, and so may call functions.
    const auto lacks = [index](AttrNumber column) { return heap_attisnull(index->rd_indextuple, column, nullptr); };
    const bool is_plain = lacks(Anum_pg_index_indexprs) && lacks(Anum_pg_index_indpred);
    if (!is_plain || form->indisexclusion || !form->indimmediate) problem = "it has an index of expressions, or a constraint of its own";
    if (form->indisunique && !(form->indnatts == 1 && form->indkey.values[0] == kId)) problem = "it has a unique index of its own";
    const bool is_usable = is_plain && form->indisvalid && form->indnatts == 1 && index->rd_rel->relam == BTREE_AM_OID &&
                           (index->rd_indoption[0] & INDOPTION_DESC) == 0;
    if (is_usable && form->indkey.values[0] == kId) by_id_ = RelationGetRelid(index);
    if (is_usable && form->indkey.values[0] == kOccurred) by_time_ = RelationGetRelid(index);
    index_close(index, NoLock);
  }
  list_free(indexes);
  return problem;
}

std::int64_t ErrorTable::insert(const core::ErrorFold& fold) {
  if (!ConditionalLockRelationOid(sequence_, RowExclusiveLock)) return 0;
  TupleDesc descriptor = RelationGetDescr(table_);
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * static_cast<Size>(descriptor->natts)));
  auto* nulls = static_cast<bool*>(palloc(static_cast<Size>(descriptor->natts)));
  for (int i = 0; i < descriptor->natts; ++i) nulls[i] = i >= kColumns;
  const std::int64_t number = nextval_internal(sequence_, false);
  values[kId - 1] = Int64GetDatum(number);
  values[kTable - 1] = text_of(fold.table);
  values[kOperation - 1] = text_of(fold.operation);
  values[kMessage - 1] = text_of(fold.message);
  values[kContext - 1] = text_of(fold.context);
  values[kOccurred - 1] = time_of(fold.first);
  values[kOccurrences - 1] = Int64GetDatum(static_cast<std::int64_t>(fold.count));
  values[kLastOccurred - 1] = time_of(fold.last);
  CatalogTupleInsert(table_, heap_form_tuple(descriptor, values, nulls));
  return number;
}

// False: somebody else is changing the row, or has removed it.
bool ErrorTable::lock_row(HeapTuple tuple, LockTupleMode mode, bool& is_gone) {
  Buffer buffer = InvalidBuffer;
  TM_FailureData failure;
  HeapTupleData locked;
  locked.t_self = tuple->t_self;
  const TM_Result result = heap_lock_tuple(table_, &locked, GetCurrentCommandId(false), mode, LockWaitSkip, false, &buffer, &failure);
  if (BufferIsValid(buffer)) ReleaseBuffer(buffer);
  is_gone = result == TM_Deleted;
  return result == TM_Ok;
}

// Numbers come again when somebody restarts the sequence: is it this error's row?
bool ErrorTable::is_row_of(HeapTuple row, const core::ErrorFold& fold) const {
  const auto has = [&](Column column, const std::string& expected) {
    bool is_null;
    const Datum value = heap_getattr(row, column, RelationGetDescr(table_), &is_null);
    return !is_null && strcmp(TextDatumGetCString(value), pg::from_utf8_anyhow(expected.c_str())) == 0;
  };
  return has(kContext, fold.context) && has(kOperation, fold.operation) && has(kMessage, fold.message);
}

ErrorTable::Outcome ErrorTable::add_occurrences(const core::ErrorFold& fold) {
  if (!OidIsValid(by_id_)) return Outcome::locked;
  ScanKeyData key;
  ScanKeyInit(&key, kId, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(fold.row));
  SysScanDesc scan = systable_beginscan(table_, by_id_, true, nullptr, 1, &key);
  HeapTuple found = systable_getnext(scan);
  HeapTuple row = HeapTupleIsValid(found) ? heap_copytuple(found) : nullptr;
  systable_endscan(scan);
  bool is_gone = row == nullptr || !is_row_of(row, fold);
  if (is_gone || !lock_row(row, LockTupleNoKeyExclusive, is_gone)) return is_gone ? Outcome::gone : Outcome::locked;
  TupleDesc descriptor = RelationGetDescr(table_);
  const auto columns = static_cast<Size>(descriptor->natts);
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * columns));
  auto* nulls = static_cast<bool*>(palloc0(columns));
  auto* changes = static_cast<bool*>(palloc0(columns));
  bool is_null;
  const auto before = DatumGetInt64(heap_getattr(row, kOccurrences, descriptor, &is_null));
  const auto last = DatumGetTimestampTz(heap_getattr(row, kLastOccurred, descriptor, &is_null));
  values[kOccurrences - 1] = Int64GetDatum(before + static_cast<std::int64_t>(fold.count));
  values[kLastOccurred - 1] = TimestampTzGetDatum(Max(last, pg::server_time(fold.last)));
  changes[kOccurrences - 1] = changes[kLastOccurred - 1] = true;
  HeapTuple changed = heap_modify_tuple(row, descriptor, values, nulls, changes);
  CatalogTupleUpdate(table_, &changed->t_self, changed);
  return Outcome::done;
}

// A sequence is a table of one row, its first column is the last number.
std::int64_t ErrorTable::last_number() {
  if (!ConditionalLockRelationOid(sequence_, AccessShareLock)) return 0;
  Relation sequence = try_relation_open(sequence_, NoLock);
  if (sequence == nullptr) return 0;
  SysScanDesc scan = systable_beginscan(sequence, InvalidOid, false, nullptr, 0, nullptr);
  HeapTuple row = systable_getnext(scan);
  bool is_null;
  const std::int64_t number = HeapTupleIsValid(row) ? DatumGetInt64(heap_getattr(row, 1, RelationGetDescr(sequence), &is_null)) : 0;
  systable_endscan(scan);
  relation_close(sequence, NoLock);
  return number;
}

// Deletes the first rows, in the index's order, that the key finds.
bool ErrorTable::remove_by(Oid index_oid, ScanKeyData* key, int limit) {
  if (!OidIsValid(index_oid)) return false;
  auto* found = static_cast<ItemPointerData*>(palloc(sizeof(ItemPointerData) * static_cast<Size>(limit)));
  int count = 0;
  Relation index = index_open(index_oid, AccessShareLock);
  SysScanDesc scan = systable_beginscan_ordered(table_, index, nullptr, 1, key);
  while (count < limit) {
    HeapTuple row = systable_getnext_ordered(scan, ForwardScanDirection);
    if (!HeapTupleIsValid(row)) break;
    found[count++] = row->t_self;
  }
  systable_endscan_ordered(scan);
  index_close(index, NoLock);
  int removed = 0;
  for (int i = 0; i < count; ++i) {
    HeapTupleData row;
    row.t_self = found[i];
    bool is_gone;
    if (!lock_row(&row, LockTupleExclusive, is_gone)) continue;
    CatalogTupleDelete(table_, &row.t_self);
    ++removed;
  }
  CommandCounterIncrement();
  pfree(found);
  // Those that are locked are found again.
  return count == limit && removed > 0;
}

bool ErrorTable::remove_old(TimestampTz before, std::int64_t most, int limit) {
  ScanKeyData key;
  bool more = false;
  if (before > 0) {
    ScanKeyInit(&key, kOccurred, BTLessStrategyNumber, F_TIMESTAMPTZ_LT, TimestampTzGetDatum(before));
    more = remove_by(by_time_, &key, limit);
  }
  ScanKeyInit(&key, kId, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(last_number() - most));
  return remove_by(by_id_, &key, limit) || more;
}

void ErrorTable::close() {
  // The locks stay until the transaction ends.
  if (table_ != nullptr) relation_close(table_, NoLock);
  table_ = nullptr;
  PopActiveSnapshot();
}

}  // namespace cache_invalidate::delivery
