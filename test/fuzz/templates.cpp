// Templates of keys, payloads and channels: what is parsed is the same when it is written out, and a channel is made of what the
// template and the message say.
#include <string>
#include <string_view>

#include "core/channel_template.hpp"
#include "core/expand.hpp"
#include "core/glob.hpp"
#include "core/template.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

void check_parts(const core::Template& source, bool variables) {
  for (const core::TemplatePart& part : source.parts()) {
    if (!part.has_placeholder) continue;
    const core::Placeholder& placeholder = part.placeholder;
    require(variables || !placeholder.path.empty(), "a key names columns only");
    if (placeholder.path.empty()) continue;
    const core::Result<core::Template> again = core::Template::parse("key", "{" + core::path_text(placeholder.path) + "}");
    require(again.ok(), "a path can be read as it is written");
    const auto& parts = again.value().parts();
    require(!parts.empty() && parts.front().literal.empty() && parts.front().placeholder.path == placeholder.path,
            "and is the same path");
  }
}

}  // namespace

void templates(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(0, end);
  const std::string_view value = input.substr(std::min(end + 1, input.size()));
  for (const core::Grammar grammar : {core::Grammar::key, core::Grammar::payload}) {
    const core::Result<core::Template> parsed = core::Template::parse("key", text, grammar);
    require(parsed.ok() || !parsed.error().message.empty(), "an error says something");
    if (parsed.ok()) check_parts(parsed.value(), grammar == core::Grammar::payload);
    if (parsed.ok()) core::widen(parsed.value(), true);
  }
  const core::Result<core::ColumnPath> path = core::parse_path("fields", text);
  if (path.ok()) require(!path.value().empty(), "a path names a column");
  std::string literal;
  core::append_glob_literal(literal, value);
  const core::Glob glob(literal);
  require(glob.matches(value) && glob.stars() == 0 && glob.prefix() == value, "an escaped value is itself alone");
  const core::Result<core::ChannelTemplate> channel = core::ChannelTemplate::parse(text);
  if (!channel.ok()) return;
  core::Message message;
  message.shape.name = message.id = value;
  require(channel.value().expand("prefix:", message, "news").rfind("prefix:", 0) == 0, "a channel begins with the prefix");
}

}  // namespace cache_invalidate::fuzz
