// Vocabulary: this backend's numbers for the scopes and shapes of its rules.
//
// A scope is asked for by table owner, server names (none: all) and what the template could give, a shape likewise;
// which servers that means is looked up when a transaction is journalled, so that a server made, dropped, granted or
// revoked counts at once, also for triggers that are already compiled.
#pragma once

#include <string>
#include <vector>

#include "core/batch.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// No server call in these two. Records of two tables are never one, though their messages may look alike.
// The servers of `shape` don't matter.
std::uint32_t shape_number(const core::Shape& shape, Oid table, Oid table_owner, const std::vector<std::string>& servers);
std::uint32_t scope_number(Oid table_owner, const std::vector<std::string>& servers, const std::string& glob);

// The vocabulary with its servers as of now; nullptr: there is no extension now. In a transaction; may raise an error.
const core::Vocabulary* resolved_vocabulary();

// Once a process, from _PG_init.
void watch_servers();

}  // namespace cache_invalidate::capture
