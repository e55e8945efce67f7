// Which tables, or indexes, stand above and below one: by inheritance, or as its partitions. As the catalog shows it at one look; locks
// nothing, so each of them may be gone when it is used. These may raise an error.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// The table and what it inherits from, or is a partition of, at any distance.
List* find_ancestors(Oid table);

// The table and what inherits from it, or is a partition of it, at any distance; nobody before its parent. The server's own function looks
// each of them up once more, and raises an error for one that was dropped meanwhile.
List* find_descendants(Oid table);

}  // namespace cache_invalidate::capture
