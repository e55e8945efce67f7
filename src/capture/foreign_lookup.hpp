// Foreign look-up: follows a path from a row, once per distinct value and transaction, unless the transaction itself
// changes the table that is looked into.
//
// A row that this transaction has changed or deleted has two states that matter: as it is now, and as it was
// when the transaction began, which is what caches have seen. So a path gives two values; they are mostly one.
#pragma once

#include "capture/foreign_path.hpp"
#include "core/expand.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// Before the paths of a row are followed. While a row is noted, what was found is forgotten here and nowhere else: its values point there.
void begin_look_ups();

// Sets now and before, whose text is valid until the next row. Not found: unknown; NULL on the way: null. False: they
// differ in nothing. `problem` is set when it could not be looked up for another reason than that there is no row.
// May raise an error.
bool follow(const ForeignPath& path, TupleTableSlot* row, core::Value& now, core::Value& before, const char** problem);

// A transaction or a savepoint ended. Never fails.
void forget_found() noexcept;

}  // namespace cache_invalidate::capture
