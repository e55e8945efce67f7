#include "pg/privileges.hpp"

namespace cache_invalidate::pg {
namespace {

// By the row of the cache, of which `Row` is the form and `owner` the column.
template <typename Row>
bool owns(int cache, Oid object, Oid Row::*owner, Oid role) {
  HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
  if (!HeapTupleIsValid(tuple)) return false;
  const Oid found = reinterpret_cast<const Row*>(GETSTRUCT(tuple))->*owner;
  ReleaseSysCache(tuple);
  return has_privs_of_role(role, found);
}

}  // namespace

bool is_granted(const Acl* rights, ObjectType kind, Oid owner, Oid role, AclMode right) {
  if (superuser_arg(role)) return true;
  if (rights == nullptr) rights = acldefault(kind, owner);
  return aclmask(rights, role, owner, right, ACLMASK_ANY) != ACL_NO_RIGHTS;
}

bool may_connect(Oid database, Oid role) {
  HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
  if (!HeapTupleIsValid(tuple)) return false;
  const Oid owner = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datdba;
  bool is_null;
  const Datum rights = SysCacheGetAttr(DATABASEOID, tuple, Anum_pg_database_datacl, &is_null);
  const bool may = is_granted(is_null ? nullptr : DatumGetAclP(rights), OBJECT_DATABASE, owner, role, ACL_CONNECT);
  ReleaseSysCache(tuple);
  return may;
}

bool owns_database(Oid database, Oid role) { return owns(DATABASEOID, database, &FormData_pg_database::datdba, role); }
bool owns_schema(Oid schema, Oid role) { return owns(NAMESPACEOID, schema, &FormData_pg_namespace::nspowner, role); }
bool owns_relation(Oid relation, Oid role) { return owns(RELOID, relation, &FormData_pg_class::relowner, role); }

}  // namespace cache_invalidate::pg
