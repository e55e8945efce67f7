// Pauses: the servers to which nothing is sent until somebody resumes them, in the extension's table
// cache_invalidation_pauses. What they are owed is kept.
//
// Rows are written and read without SQL. Whatever else would write there is kept out by a trigger: another server's pauses,
// copied by a publication FOR ALL TABLES, are not ours.
#pragma once

#include <vector>

#include "pg/extension.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

struct Pauses {
  bool all = false;          // of this database
  std::vector<Oid> servers;  // in the order of their numbers; may name what was dropped since

  bool operator==(const Pauses& other) const { return all == other.all && servers == other.servers; }
  bool contains(Oid server) const;
};

// As of now. Does not wait: false if somebody has locked the table, and then `out` is what it was. In a transaction; may
// raise an error.
bool read_pauses(const pg::Extension& extension, Pauses& out);

// These two tell whether something changed. `server`: InvalidOid for all. In a transaction; may raise an error.
bool add_pause(const pg::Extension& extension, Oid server, const char* name);
bool remove_pauses(const pg::Extension& extension, Oid server);

}  // namespace cache_invalidate::delivery
