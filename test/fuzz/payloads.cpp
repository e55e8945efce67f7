// Argument "payload" and what goes into its messages: always JSON, always short enough for NOTIFY, and never with a member that
// the template does not have.
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/json_parser.hpp"
#include "core/payload.hpp"
#include "core/payload_values.hpp"
#include "row.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

core::JsonNode read(const std::string& text) {
  require(text.size() <= core::kPayloadLimit, "a message fits NOTIFY");
  core::Result<core::JsonNode> node = core::parse_json("message", text);
  require(node.ok() && node.value().type == core::JsonNode::Type::object, "a message is a JSON object");
  return node.take();
}

// Whether the message is one of this template: each member is there or left out, and what is a string there is no structure.
void compare(const core::JsonNode& message, const core::JsonNode& source, bool may_lack) {
  if (source.type == core::JsonNode::Type::string) {
    require(message.type == core::JsonNode::Type::string || message.type == core::JsonNode::Type::literal, "a value is no structure");
    return;
  }
  require(message.type == source.type && message.elements.size() == source.elements.size(), "a message has the template's shape");
  for (std::size_t i = 0; i < source.elements.size(); ++i) compare(message.elements[i], source.elements[i], false);
  require(may_lack || message.members.size() == source.members.size(), "an inner object is complete");
  auto expected = source.members.begin();
  for (const core::JsonMember& member : message.members) {
    while (expected != source.members.end() && expected->name != member.name) ++expected;
    require(expected != source.members.end(), "a message has no member of its own");
    compare(member.value, (expected++)->value, false);
  }
}

core::Message message_of(std::string_view id, std::string fields) {
  core::Message message;
  message.shape.name = "t";
  message.id = id;
  message.fields = std::move(fields);
  message.origin = {9007199254740993, 1767323045678901};
  return message;
}

// The ready shapes, with a field that the same value stands in.
void check_ready(std::string_view value) {
  core::RuleSpec spec;
  spec.fields = {{"a", {"a"}}};
  const core::Result<core::Rule> rule = core::bind_rule(spec, table_for(spec));
  require(rule.ok(), "a field is bound");
  std::string fields;
  core::render_row(rule.value(), row_for(rule.value(), value).data(), fields);
  for (const core::Format format : {core::Format::record, core::Format::resource}) {
    core::Message message = message_of(value, fields);
    message.shape.format = format;
    const core::JsonNode node = read(core::render_payload(message, false));
    require(node.members.size() <= 6, "a message has the members of its shape");
    read(core::render_payload(message, true));
  }
}

// What is not UTF-8 is replaced in messages, and names may become equal.
bool is_utf8(std::string_view text) {
  std::string json;
  core::append_json_text(json, text);
  return json.find("\xEF\xBF\xBD") == std::string::npos;
}

void check_damaged(std::string_view program) {
  core::Message damaged = message_of("1", std::string(program));
  damaged.shape.format = core::Format::custom;
  damaged.shape.payload = program;
  require(core::render_payload(damaged, true).size() <= core::kPayloadLimit, "a damaged program gives no long message");
}

}  // namespace

void payloads(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(0, end);
  const std::string_view rest = input.substr(std::min(end + 1, input.size()));
  const std::string_view value = rest.substr(0, rest.find('\0'));  // no text of the server has one
  check_damaged(rest);
  check_ready(value);
  const core::Result<core::RuleSpec> spec = core::parse_rule({"payload=" + std::string(text)});
  require(spec.ok() || !spec.error().message.empty(), "an error says something");
  if (!spec.ok() || !is_utf8(text)) return;
  const core::Result<core::JsonNode> source = core::parse_json("payload", text);
  require(source.ok(), "a payload is JSON");
  const core::Result<core::Rule> rule = core::bind_rule(spec.value(), table_for(spec.value()));
  if (!rule.ok()) return;  // too long
  std::string values;
  core::render_row(rule.value(), row_for(rule.value(), value).data(), values);
  core::Message message = message_of(value, values);
  message.shape.format = rule.value().format;
  message.shape.payload = rule.value().payload.program;
  for (const bool ascii_only : {false, true}) compare(read(core::render_payload(message, ascii_only, 7)), source.value(), true);
}

}  // namespace cache_invalidate::fuzz
