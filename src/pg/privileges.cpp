#include "pg/privileges.hpp"

namespace cache_invalidate::pg {

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

}  // namespace cache_invalidate::pg
