#include "journal/segment.hpp"

#include "journal/shared.hpp"
#include "pg/crash_point.hpp"

namespace cache_invalidate::journal {
namespace {

int active_segment() {
  DatabaseSlot* slot = find_slot(MyDatabaseId);
  return slot == nullptr ? 0 : static_cast<int>(pg_atomic_read_u32(&slot->active_segment));
}

// The row as the heap wants it: one column, the chunk.
HeapTuple form_row(TupleDesc descriptor, std::string_view chunk) {
  // Here, since of a page that is written nobody can tell its holes from ours. Nothing in other builds.
  VALGRIND_CHECK_MEM_IS_DEFINED(chunk.data(), chunk.size());
  const Size size = chunk.size() + VARHDRSZ;
  auto* value = static_cast<bytea*>(palloc(size));
  SET_VARSIZE(value, size);
  memcpy(VARDATA(value), chunk.data(), chunk.size());
  Datum values[1] = {PointerGetDatum(value)};
  bool nulls[1] = {false};
  HeapTuple row = heap_form_tuple(descriptor, values, nulls);
  pfree(value);
  return row;
}

// When their common page is full, all who commit would meet at the lock under which a file grows. So whoever has a page goes on with
// one of his own, and does not look for room elsewhere. The first page is a common one: short sessions do not take one each.
int insert_options(Relation table) {
  const bool has_page = RelationGetTargetBlock(table) != InvalidBlockNumber;
  return HEAP_INSERT_NO_LOGICAL | (has_page ? HEAP_INSERT_SKIP_FSM : 0);
}

// What is long is stored apart, under an index. To truncate that and to build it anew are two steps: a crash between them would leave
// none, and the next long key could not be written. So both get new files, which a crash takes back as a whole.
void empty_long_values(Oid oid) {
  Relation table = table_open(oid, AccessExclusiveLock);
  const bool is_empty = RelationGetNumberOfBlocks(table) == 0;
  if (!is_empty) pg::give_new_file(table);
  table_close(table, NoLock);
  if (!is_empty) pg::rebuild_indexes(oid);
}

}  // namespace

int lock_for_append(const pg::Extension& extension, int preferred) {
  // The ids are copied: taking a lock accepts invalidations.
  const Oid tables[2] = {extension.journal[0], extension.journal[1]};
  const int first = preferred >= 0 ? preferred : active_segment();
  if (ConditionalLockRelationOid(tables[first], RowExclusiveLock)) return first;
  if (ConditionalLockRelationOid(tables[1 - first], RowExclusiveLock)) return 1 - first;
  LockRelationOid(tables[first], RowExclusiveLock);
  return first;
}

// Not by relation_open(), which would count rows for statistics that nobody reads: autovacuum is off for the journal.
bool append(const pg::Extension& extension, int segment, std::string_view bytes, const std::vector<std::size_t>& ends) {
  Relation table = RelationIdGetRelation(extension.journal[segment]);
  if (!RelationIsValid(table)) return false;
  const CommandId command = GetCurrentCommandId(true);
  std::size_t start = 0;
  for (const std::size_t end : ends) {
    HeapTuple row = form_row(RelationGetDescr(table), bytes.substr(start, end - start));
    heap_insert(table, row, command, insert_options(table), nullptr);
    CACHE_INVALIDATE_CRASH_POINT("journal.append.row", fails);
    heap_freetuple(row);
    start = end;
  }
  RelationClose(table);
  return true;
}

bool try_lock_for_truncate(const pg::Extension& extension, int segment) {
  return ConditionalLockRelationOid(extension.journal[segment], AccessExclusiveLock);
}

void truncate(const pg::Extension& extension, int segment) {
  Relation table = try_relation_open(extension.journal[segment], NoLock);
  if (table == nullptr) return;
  const Oid long_values = table->rd_rel->reltoastrelid;
  table_relation_nontransactional_truncate(table);
  relation_close(table, NoLock);
  if (OidIsValid(long_values)) empty_long_values(long_values);
}

BlockNumber pages(const pg::Extension& extension, int segment) {
  Relation table = try_relation_open(extension.journal[segment], AccessShareLock);
  if (table == nullptr) return 0;
  const BlockNumber count = RelationGetNumberOfBlocks(table);
  relation_close(table, AccessShareLock);
  return count;
}

}  // namespace cache_invalidate::journal
