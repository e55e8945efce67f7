#include "delivery/target_options.hpp"

#include <cstdlib>

namespace cache_invalidate::delivery {
namespace {

constexpr long kLongestTimeout = 600000;
constexpr long kLongestDelay = 60000;

core::Error option_error(std::string message, std::string detail, std::string hint) {
  core::Error error;
  error.sqlstate = core::sqlstate::kFdwInvalidOption;
  error.message = std::move(message);
  error.detail = std::move(detail);
  error.hint = std::move(hint);
  return error;
}

core::Error invalid_value(const OptionText& option, std::string hint) {
  return option_error("invalid value for option \"" + option.name + "\": \"" + option.value + "\"", "", std::move(hint));
}

// "250", "250ms", "2s", "1min", from `least` to `most` milliseconds.
core::Result<int> parse_time(const OptionText& option, long least, long most, const char* range) {
  char* end = nullptr;
  const long number = std::strtol(option.value.c_str(), &end, 10);
  const std::string unit = end;
  const long factor = unit.empty() || unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "min" ? 60000 : 0;
  if (end == option.value.c_str() || factor == 0 || number < least || number > most / factor) {
    return invalid_value(option, "Give a time from " + std::string(range) + ", in milliseconds or with a unit: \"ms\", \"s\", \"min\".");
  }
  return static_cast<int>(number * factor);
}

core::Result<bool> parse_flag(const OptionText& option) {
  std::string v = option.value;
  for (char& c : v) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (v == "true" || v == "on" || v == "yes" || v == "1") return true;
  if (v == "false" || v == "off" || v == "no" || v == "0") return false;
  return invalid_value(option, "Give \"true\" or \"false\".");
}

core::Result<bool> apply(const OptionText& option, TargetOptions& target) {
  if (option.name == "url") {
    core::Result<redis::Endpoint> endpoint = redis::parse_url(option.value);
    if (!endpoint.ok()) return endpoint.error();
    target.endpoint = endpoint.take();
  } else if (option.name == "key_prefix") {
    target.key_prefix = option.value;
  } else if (option.name == "connect_timeout" || option.name == "command_timeout") {
    core::Result<int> timeout = parse_time(option, 1, kLongestTimeout, "1 ms to 10 min");
    if (!timeout.ok()) return timeout.error();
    (option.name == "connect_timeout" ? target.connect_timeout : target.command_timeout) = timeout.value();
  } else if (option.name == "lease_prefix") {
    target.lease_prefix = option.value;
  } else if (option.name == "second_delete_after") {
    core::Result<int> delay = parse_time(option, 0, kLongestDelay, "0 (off) to 1 min");
    if (!delay.ok()) return delay.error();
    target.second_delete_after = delay.value();
  } else if (option.name == "publish_channel") {
    core::Result<core::ChannelTemplate> channel = core::ChannelTemplate::parse(option.value);
    if (!channel.ok()) {
      core::Error error = invalid_value(option, channel.error().hint);
      error.detail = channel.error().detail;
      return error;
    }
    if (!option.value.empty()) target.publish_channel = channel.take();
  } else if (option.name == "enabled") {
    core::Result<bool> flag = parse_flag(option);
    if (!flag.ok()) return flag.error();
    target.enabled = flag.value();
  } else if (option.name == "password" || option.name == "username") {
    return option_error("invalid option \"" + option.name + "\" for a server", "Every user can read the options of a server.",
                        "Put it into CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (...).");
  } else {
    return option_error("invalid option \"" + option.name + "\"", "",
                        "Options of a server are \"url\", \"key_prefix\", \"lease_prefix\", \"second_delete_after\", "
                        "\"publish_channel\", \"connect_timeout\", \"command_timeout\" and \"enabled\".");
  }
  return true;
}

}  // namespace

core::Result<TargetOptions> parse_server_options(const std::vector<OptionText>& options) {
  TargetOptions target;
  bool has_url = false;
  for (const OptionText& option : options) {
    core::Result<bool> applied = apply(option, target);
    if (!applied.ok()) return applied.error();
    if (option.name == "url") has_url = true;
  }
  if (!has_url) {
    return option_error("option \"url\" is required", "", "Give for example OPTIONS (url 'redis://127.0.0.1:6379/0').");
  }
  return target;
}

core::Result<Credentials> parse_mapping_options(const std::vector<OptionText>& options) {
  Credentials credentials;
  for (const OptionText& option : options) {
    if (option.name == "username") {
      credentials.username = option.value;
    } else if (option.name == "password") {
      credentials.password = option.value;
    } else {
      return option_error("invalid option \"" + option.name + "\"", "",
                          "Options of a user mapping are \"username\" and \"password\".");
    }
  }
  if (credentials.password.empty() && !credentials.username.empty()) {
    return option_error("option \"password\" is required with \"username\"", "", "Add the password, or leave both out.");
  }
  return credentials;
}

}  // namespace cache_invalidate::delivery
