// Refuses to rename a column away from under a trigger that names it: its keys would be widened from then on.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// After a column, or an attribute of the type of typed tables, was renamed. May raise an error, which takes it back.
void check_rename(const RenameStmt& statement);

}  // namespace cache_invalidate::capture
