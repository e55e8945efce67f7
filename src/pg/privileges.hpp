// Whether a role has a right, asked of what the catalogs said and not of the object once more: the server raises an error for an
// object that was dropped meanwhile.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

// `rights`: nullptr means those that such an object has from the start. A role that does not exist has none. May raise an error.
bool is_granted(const Acl* rights, ObjectType kind, Oid owner, Oid role, AclMode right);

// False: also if there is no such object. These may raise an error.
bool may_connect(Oid database, Oid role);
bool owns_database(Oid database, Oid role);
bool owns_schema(Oid schema, Oid role);
bool owns_relation(Oid relation, Oid role);

}  // namespace cache_invalidate::pg
