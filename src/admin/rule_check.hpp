// What is wrong with a trigger's rule, as far as the catalogs tell, and the cure.
//
// For views that are asked often: no lock is waited for, and a table is not even opened unless a rule leads over its foreign
// keys. What would have to be waited for is not checked.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "capture/all_triggers.hpp"
#include "core/rule.hpp"
#include "delivery/target_options.hpp"

#include "pg/foreign_servers.hpp"

namespace cache_invalidate::admin {

// Both are UTF-8. No problem: both are empty.
struct Finding {
  std::string problem;
  std::string cure;
};

class RuleCheck {
 public:
  // Reads the servers, into memory of the context that must be there as long as this. May raise an error.
  explicit RuleCheck(Oid wrapper);

  // `spec`: what can be used of the arguments; `mistake`: what is wrong with the others, or nullptr. Cancel and lack of memory
  // are raised.
  Finding check(const capture::FoundTrigger& trigger, const core::RuleSpec& spec, const core::Error* mistake);

 private:
  struct Server {
    const pg::ServerRow* row;
    std::string name;
    bool enabled;
    bool publishes;
  };
  Finding check_columns(const capture::FoundTrigger& trigger, const core::RuleSpec& spec) const;
  Finding check_servers(const capture::FoundTrigger& trigger, const core::RuleSpec& spec);
  Finding check_sending(const core::RuleSpec& spec, const std::vector<const Server*>& reached) const;
  const Server* find(const std::string& name) const;
  const std::vector<bool>& usable_by(Oid owner);

  pg::ServerRows rows_;
  std::vector<Server> servers_;
  std::unordered_map<Oid, std::vector<bool>> usable_;  // by owner: one a server
};

}  // namespace cache_invalidate::admin
