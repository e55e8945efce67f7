// Rule cache: the compiled rule of each trigger that this backend has fired.
//
// The key is the trigger's OID. The relcache callback only marks; a marked rule is compiled anew at its
// next use. What a rule was replaced by stays valid until the transaction ends, since an outer call may
// still be using it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capture/foreign_path.hpp"
#include "capture/row_reader.hpp"
#include "core/change_set.hpp"
#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// What reads one input of a rule.
struct InputReader {
  ColumnReader column;                // of the row itself
  std::unique_ptr<ForeignPath> path;  // or of a row that it points to
};

struct CompiledRule {
  core::Rule rule;
  std::vector<InputReader> readers;   // one an entry of rule.inputs
  bool has_paths = false;
  std::vector<std::string> globs;     // of everything that a template could give: one a key, then one a pattern
  std::vector<std::uint32_t> scopes;  // one a glob
  std::uint32_t shape = 0;
  core::Source first_source = 0;      // of the first template; then one each, the last for messages
  std::uint32_t source_count = 0;
  bool sends_messages = true;
  std::string table;                  // these two for the error log
  std::string context_text;
  std::string problem;                // not empty: something of the rule can't be used, and why

  core::Source message_source() const { return first_source + source_count - 1; }

  // For trigger_counts.cpp: where it counts in this transaction, and under what and where on the board.
  Oid counted_as = InvalidOid;            // the trigger; of a partition's clone the one at the top
  mutable std::uint32_t touched = 0;      // 0: it has seen nothing
  mutable std::uint32_t place = 0;
  mutable bool found_no_place = false;

  MemoryContext context = nullptr;    // owns the readers' function data
  Oid relation = InvalidOid;
  Oid reported = InvalidOid;          // its root, when it is a partition
  std::vector<Oid> tables;            // those that it was compiled from, with what its paths lead through
  bool valid = true;
  bool for_this_transaction = false;  // something could not be looked at without waiting: try again in the next
};

// The rule of the trigger that is firing. In a transaction; may raise an error.
const CompiledRule& find_rule(Relation table, const Trigger& trigger);

// At the end of every transaction: frees what was replaced, and ends what was made for it alone. Never fails.
void end_rules_of_transaction() noexcept;

// Once a process, from _PG_init.
void watch_tables();

}  // namespace cache_invalidate::capture
