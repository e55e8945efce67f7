#include "delivery/pauses.hpp"

#include <algorithm>

namespace cache_invalidate::delivery {
namespace {

// The columns of the table.
constexpr int kServer = 1;
constexpr int kColumns = 4;

Oid server_of(HeapTuple tuple, Relation table) {
  bool is_null;
  return DatumGetObjectId(heap_getattr(tuple, kServer, RelationGetDescr(table), &is_null));
}

// Calls `visit` with each row, which may delete it.
template <typename Visit>
void for_each_row(Relation table, Visit visit) {
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) visit(tuple);
  systable_endscan(scan);
}

bool is_paused(Relation table, Oid server) {
  bool found = false;
  for_each_row(table, [&](HeapTuple tuple) { found = found || server_of(tuple, table) == server; });
  return found;
}

}  // namespace

bool Pauses::contains(Oid server) const { return all || std::binary_search(servers.begin(), servers.end(), server); }

bool read_pauses(const pg::Extension& extension, Pauses& out) {
  if (!ConditionalLockRelationOid(extension.pauses, AccessShareLock)) return false;
  Relation table = try_relation_open(extension.pauses, NoLock);
  if (table == nullptr) return false;  // the extension is being dropped
  List* servers = NIL;
  for_each_row(table, [&](HeapTuple tuple) { servers = lappend_oid(servers, server_of(tuple, table)); });
  relation_close(table, AccessShareLock);
  list_sort(servers, list_oid_cmp);
  out = Pauses();
  ListCell* cell;
  foreach (cell, servers) {
    if (OidIsValid(lfirst_oid(cell))) {
      out.servers.push_back(lfirst_oid(cell));
    } else {
      out.all = true;
    }
  }
  return true;
}

bool add_pause(const pg::Extension& extension, Oid server, const char* name) {
  // One at a time, so that each sees the rows of the other; readers go on.
  Relation table = table_open(extension.pauses, ShareRowExclusiveLock);
  const bool is_new = !is_paused(table, server);
  if (is_new) {
    NameData server_name;
    NameData role;
    namestrcpy(&server_name, name);
    namestrcpy(&role, GetUserNameFromId(GetSessionUserId(), false));
    Datum values[kColumns] = {ObjectIdGetDatum(server), NameGetDatum(&server_name), TimestampTzGetDatum(GetCurrentTimestamp()),
                              NameGetDatum(&role)};
    bool nulls[kColumns] = {false, false, false, false};
    CatalogTupleInsert(table, heap_form_tuple(RelationGetDescr(table), values, nulls));
    CommandCounterIncrement();
  }
  table_close(table, NoLock);
  return is_new;
}

bool remove_pauses(const pg::Extension& extension, Oid server) {
  Relation table = table_open(extension.pauses, ShareRowExclusiveLock);
  bool any = false;
  for_each_row(table, [&](HeapTuple tuple) {
    if (OidIsValid(server) && server_of(tuple, table) != server) return;
    CatalogTupleDelete(table, &tuple->t_self);
    any = true;
  });
  if (any) CommandCounterIncrement();
  table_close(table, NoLock);
  return any;
}

}  // namespace cache_invalidate::delivery
