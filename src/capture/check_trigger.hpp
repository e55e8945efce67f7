// What a trigger of ours says, held against its table as it is now.
#pragma once

#include "capture/foreign_path.hpp"
#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// The rule, or what is wrong with it. The trigger is a copy. With `paths`, to which the columns and constraints on its
// paths are added, it waits for locks; else it does not, see resolve_path(). May raise an error; it guards its own calls.
core::Result<core::Rule> bind_trigger(const Trigger& trigger, Relation table, PathDependencies* paths);

}  // namespace cache_invalidate::capture
