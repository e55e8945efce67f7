// Watches statements that concern workers: what a transaction did to the extension, to servers or to
// mappings is told to launcher and worker when it has committed; and before a statement that needs a database
// for itself (DROP DATABASE and its like), its worker is asked to leave and waited for.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// This transaction changed what the worker of this database reads from the catalogs.
void note_catalog_change();
// This transaction made the extension: the launcher shall look into this database.
void note_installation();

// Once a process, from _PG_init.
void watch_ddl();

}  // namespace cache_invalidate::delivery
