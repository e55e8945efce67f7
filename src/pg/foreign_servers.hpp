// The servers of a foreign-data wrapper, as one look at the catalog shows them. Who reads them all may not look one of them up again:
// it may have been dropped meanwhile, and the server's own look-ups raise an error for that.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

struct ServerRow {
  Oid oid;
  Oid owner;
  const char* name;  // in the database's encoding
  List* options;     // DefElem
  const Acl* rights;  // nullptr: those of any server
};

// In memory of the context in which it was read.
struct ServerRows {
  ServerRow* first = nullptr;
  int count = 0;

  const ServerRow* begin() const { return first; }
  const ServerRow* end() const { return first + count; }
};

// By OID. In a transaction; may raise an error.
ServerRows read_servers(Oid wrapper);

// Whether the role has USAGE. In a transaction; may raise an error.
bool may_use(const ServerRow& server, Oid role);

}  // namespace cache_invalidate::pg
