// Rule cache: the compiled rule of each trigger that this backend has fired.
//
// The key is the trigger's OID. The relcache callback only marks; a marked rule is compiled anew at its
// next use. What a rule was replaced by stays valid until the transaction ends, since an outer call may
// still be using it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capture/row_reader.hpp"
#include "core/rule.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

struct CompiledRule {
  core::Rule rule;
  std::vector<ColumnReader> readers;  // one an entry of rule.columns
  std::vector<std::string> widened;   // globs of every key it could give: for what cannot be told exactly
  std::vector<std::string> constant_keys;  // of templates without placeholders
  std::uint32_t scope = 0;
  std::uint32_t shape = 0;
  bool sends_messages = true;
  std::string table;                  // these two for the error log
  std::string context_text;
  std::string problem;                // not empty: the rule can't be used, and why

  MemoryContext context = nullptr;    // owns the readers' function data
  Oid relation = InvalidOid;
  Oid reported = InvalidOid;          // its root, when it is a partition
  bool valid = true;
};

// The rule of the trigger that is firing. In a transaction; may raise an error.
const CompiledRule& find_rule(Relation table, const Trigger& trigger);

// At the end of every transaction: frees what was replaced. Never fails.
void forget_replaced_rules() noexcept;

// Once a process, from _PG_init.
void watch_tables();

}  // namespace cache_invalidate::capture
