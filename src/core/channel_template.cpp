#include "core/channel_template.hpp"

#include <algorithm>
#include <iterator>

namespace cache_invalidate::core {
namespace {
constexpr std::string_view kNames[] = {"resource", "operation", "id", "channel"};
}  // namespace

Result<ChannelTemplate> ChannelTemplate::parse(std::string_view text) {
  Error error;
  error.message = "invalid template";
  error.hint =
      "Placeholders are {$resource}, {$operation}, {$id} and {$channel}; write literal braces as \"{{\" and \"}}\".";
  Result<Template> parsed = Template::parse("publish_channel", text, Grammar::payload);
  if (!parsed.ok()) {
    error.detail = parsed.error().detail;
    return error;
  }
  for (const TemplatePart& part : parsed.value().parts()) {
    const Placeholder& placeholder = part.placeholder;
    if (!part.has_placeholder) continue;
    if (placeholder.path.empty() && placeholder.cast == Cast::none &&
        std::find(std::begin(kNames), std::end(kNames), placeholder.variable) != std::end(kNames)) {
      continue;
    }
    const std::string name = placeholder.path.empty() ? "$" + placeholder.variable : path_text(placeholder.path);
    error.detail = "The placeholder {" + name + (placeholder.cast == Cast::none ? "}" : "::...}") + " is not known here.";
    return error;
  }
  ChannelTemplate result;
  result.parts_ = parsed.value().parts();
  return result;
}

std::string ChannelTemplate::expand(std::string_view prefix, const Message& message, std::string_view notify_channel) const {
  std::string channel(prefix);
  for (const TemplatePart& part : parts_) {
    channel += part.literal;
    if (!part.has_placeholder) continue;
    const std::string& name = part.placeholder.variable;
    if (name == "resource") channel += message.shape.name;
    if (name == "operation") channel += operation_name(message.operation);
    if (name == "id") channel += message.id;
    if (name == "channel") channel += message.shape.has_channel ? std::string_view(message.shape.channel) : notify_channel;
  }
  return channel;
}

}  // namespace cache_invalidate::core
