#include "capture/inheritance.hpp"

namespace cache_invalidate::capture {
namespace {

// The other side of each row of the catalog that has `oid` in this column.
List* find_others(Relation catalog, AttrNumber column, Oid index, Oid oid) {
  ScanKeyData key;
  ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
  SysScanDesc scan = systable_beginscan(catalog, index, true, nullptr, 1, &key);
  List* found = NIL;
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* row = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple));
    found = lappend_oid(found, column == Anum_pg_inherits_inhrelid ? row->inhparent : row->inhrelid);
  }
  systable_endscan(scan);
  return found;
}

List* find_all(AttrNumber column, Oid index, Oid table) {
  List* found = list_make1_oid(table);
  Relation catalog = table_open(InheritsRelationId, AccessShareLock);
  for (int i = 0; i < list_length(found); ++i) {
    List* next = find_others(catalog, column, index, list_nth_oid(found, i));
    // The index has no order among them, but what users are told of them shall have.
    if (column == Anum_pg_inherits_inhparent) list_sort(next, list_oid_cmp);
    found = list_concat_unique_oid(found, next);
  }
  table_close(catalog, AccessShareLock);
  return found;
}

}  // namespace

List* find_ancestors(Oid table) { return find_all(Anum_pg_inherits_inhrelid, InheritsRelidSeqnoIndexId, table); }
List* find_descendants(Oid table) { return find_all(Anum_pg_inherits_inhparent, InheritsParentIndexId, table); }

}  // namespace cache_invalidate::capture
