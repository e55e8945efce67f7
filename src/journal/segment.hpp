// The two segments of the journal: ordinary heap tables without index, appended to at commit and truncated in
// place when all of them has been delivered. Rows are never deleted one by one, so there is nothing for
// vacuum to do and nothing that an old snapshot could hold back.
//
// Locks: a writer holds ROW EXCLUSIVE on its segment until its transaction has ended, which is after it has
// handed the batch over. The worker takes ACCESS EXCLUSIVE to truncate, conditionally: it never waits for a
// writer, and a writer that finds one segment locked takes the other.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "pg/extension.hpp"

namespace cache_invalidate::journal {

// Backend: locks the segment to write to and returns its number. `preferred`: the one this transaction
// already writes to, or -1. May raise an error; waits only when somebody holds both tables.
int lock_for_append(const pg::Extension& extension, int preferred);

// Appends one row a chunk; `ends` says where each ends in `bytes`. False: the tables are gone. May raise an
// error (out of disk space). What the arguments refer to must not be owned by a caller's stack frame.
bool append(const pg::Extension& extension, int segment, std::string_view bytes, const std::vector<std::size_t>& ends);

// Worker, in a transaction: the exclusive lock, if it is to be had at once; held to the transaction's end.
bool try_lock_for_truncate(const pg::Extension& extension, int segment);
// Worker, with that lock: gives all pages back at once, whatever becomes of the transaction; those of what is stored out of line,
// with its end.
void truncate(const pg::Extension& extension, int segment);

// Pages of the segment; 0 when it is gone.
BlockNumber pages(const pg::Extension& extension, int segment);

}  // namespace cache_invalidate::journal
