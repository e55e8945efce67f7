#include "pg/foreign_servers.hpp"

#include <algorithm>

#include "pg/privileges.hpp"

namespace cache_invalidate::pg {
namespace {

ServerRow read_row(HeapTuple tuple, TupleDesc descriptor) {
  const auto* row = reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple));
  ServerRow server{row->oid, row->srvowner, pstrdup(NameStr(row->srvname)), NIL, nullptr};
  bool is_null;
  const Datum options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions, descriptor, &is_null);
  if (!is_null) server.options = untransformRelOptions(options);
  const Datum rights = heap_getattr(tuple, Anum_pg_foreign_server_srvacl, descriptor, &is_null);
  if (!is_null) server.rights = DatumGetAclPCopy(rights);
  return server;
}

}  // namespace

ServerRows read_servers(Oid wrapper) {
  ServerRows rows;
  int room = 8;
  rows.first = static_cast<ServerRow*>(palloc(sizeof(ServerRow) * static_cast<Size>(room)));
  Relation catalog = table_open(ForeignServerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    if (reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple))->srvfdw != wrapper) continue;
    if (rows.count == room) {
      room *= 2;
      rows.first = static_cast<ServerRow*>(repalloc(rows.first, sizeof(ServerRow) * static_cast<Size>(room)));
    }
    rows.first[rows.count++] = read_row(tuple, RelationGetDescr(catalog));
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  // The catalog has no order.
  std::sort(rows.first, rows.first + rows.count, [](const ServerRow& a, const ServerRow& b) { return a.oid < b.oid; });
  return rows;
}

bool may_use(const ServerRow& server, Oid role) { return is_granted(server.rights, OBJECT_FOREIGN_SERVER, server.owner, role, ACL_USAGE); }

}  // namespace cache_invalidate::pg
