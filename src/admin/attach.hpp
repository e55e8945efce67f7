// Attaching: makes and drops the triggers that cover a table with its partitions and inheritance children, as the
// caller, who needs the privileges that CREATE TRIGGER and DROP TRIGGER ask for.
#pragma once

#include "admin/attach_options.hpp"

namespace cache_invalidate::admin {

// Both return whether anything was changed, tell by NOTICE what was replaced or is left, and may raise an error.
bool attach(Oid table, const AttachOptions& options);
bool detach(Oid table);

}  // namespace cache_invalidate::admin
