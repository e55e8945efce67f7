// The options of a foreign server and of a user mapping, parsed: used when they are written (the validator)
// and when they are read (the worker). Knows nothing of the server.
#pragma once

#include <string>
#include <vector>

#include "core/channel_template.hpp"
#include "core/result.hpp"
#include "redis/url.hpp"

namespace cache_invalidate::delivery {

// UTF-8, and so is what becomes of it.
struct OptionText {
  std::string name;
  std::string value;

  bool operator==(const OptionText& other) const { return name == other.name && value == other.value; }
};

struct TargetOptions {
  redis::Endpoint endpoint;
  std::string key_prefix;
  int connect_timeout = 2000;  // milliseconds
  int command_timeout = 5000;  // milliseconds without an answer
  bool enabled = true;
  std::string lease_prefix;       // empty: keys have no leases
  int second_delete_after = 0;    // milliseconds; 0: keys are deleted once
  core::ChannelTemplate publish_channel;  // empty: nothing is published
};

struct Credentials {
  std::string username;
  std::string password;
};

// Fail with SQLSTATE HV00D. A value of a user mapping is never repeated in a message.
core::Result<TargetOptions> parse_server_options(const std::vector<OptionText>& options);
core::Result<Credentials> parse_mapping_options(const std::vector<OptionText>& options);

}  // namespace cache_invalidate::delivery
