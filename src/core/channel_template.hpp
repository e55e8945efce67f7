// ChannelTemplate: the channel of a message that is published, from a template with the placeholders {$resource},
// {$operation}, {$id} and {$channel}; {{ and }} are literal braces. A channel is plain bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/payload.hpp"
#include "core/result.hpp"
#include "core/template.hpp"

namespace cache_invalidate::core {

class ChannelTemplate {
 public:
  ChannelTemplate() = default;

  // The detail of an error says where.
  static Result<ChannelTemplate> parse(std::string_view text);

  bool empty() const { return parts_.empty(); }
  // {$channel} is that of NOTIFY: `notify_channel` where the message names none.
  std::string expand(std::string_view prefix, const Message& message, std::string_view notify_channel) const;

 private:
  std::vector<TemplatePart> parts_;
};

}  // namespace cache_invalidate::core
