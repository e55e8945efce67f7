// Where the extension's objects are in this database, looked up once and again after they change.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

struct Extension {
  Oid oid;
  Oid owner;
  Oid schema;
  Oid journal[2];
  Oid error_log;
  Oid pauses;
  Oid wrapper;  // the foreign-data wrapper
};

// nullptr: the extension is not installed in this database (or is being installed). In a transaction only;
// may raise an error. The answer holds until the next server call that accepts invalidations.
const Extension* extension();

// The schema's name as SQL has it. Raises an error: also if the extension is being dropped.
const char* quoted_schema(const Extension& extension);

// Is it the extension's own trigger function? In a transaction only.
bool is_trigger_function(Oid function);

// Once a process, from _PG_init.
void watch_extension();

}  // namespace cache_invalidate::pg
