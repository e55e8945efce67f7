// The targets of this database as the catalogs have them: the foreign servers of the extension's wrapper.
#pragma once

#include <string>
#include <vector>

#include "delivery/target_options.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::delivery {

struct TargetDefinition {
  Oid server = InvalidOid;
  std::string name;
  std::vector<OptionText> server_options;
  std::vector<OptionText> mapping_options;

  bool operator==(const TargetDefinition& other) const {
    return server == other.server && name == other.name && server_options == other.server_options &&
           mapping_options == other.mapping_options;
  }
};

// Copies a list of options of the catalogs, as UTF-8: Redis gets the same bytes whatever the database. May raise an error: what it fills must be owned by the caller.
void copy_options(List* options, std::vector<OptionText>& out);

// Fills `targets`. The mapping is that of the extension's owner, else of the server's owner, else of PUBLIC.
// In a transaction; may raise an error: what it fills must be owned by the caller.
void read_targets(const pg::Extension& extension, std::vector<TargetDefinition>& targets);

}  // namespace cache_invalidate::delivery
