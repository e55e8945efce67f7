#include "core/payload_template.hpp"

#include "core/json.hpp"
#include "core/json_parser.hpp"

namespace cache_invalidate::core {
namespace {

constexpr const char* kArgument = "payload";
constexpr const char* kExample = "Write a JSON object, as in 'payload={\"action\":\"{$operation}\",\"id\":\"{$id}\",\"project\":\"{project_id}\"}'.";
constexpr const char* kVariables =
    "Placeholders that begin with \"$\" are {$operation}, {$table}, {$schema}, {$resource}, {$id}, {$batch_id}, {$timestamp}, "
    "{$epoch} and {$lsn}.";

Error unknown_variable(const std::string& name) {
  Error error;
  error.message = "unknown placeholder \"{$" + name + "}\" in argument \"payload\"";
  error.hint = kVariables;
  return error;
}

// Writes the value of one member as JSON text, cut where placeholders stand.
class MemberWriter {
 public:
  explicit MemberWriter(PayloadMember& member) : member_(member) {}

  Result<bool> write(const JsonMember& source) {
    name(source.name);
    Result<bool> written = value(source.value);
    if (written.ok() && !json_.empty()) {
      member_.emplace_back();
      member_.back().json = std::move(json_);
    }
    return written;
  }

 private:
  void name(const std::string& text) {
    append_json_string(json_, text);
    json_ += ':';
  }

  Result<bool> value(const JsonNode& node) {
    switch (node.type) {
      case JsonNode::Type::object: return object(node);
      case JsonNode::Type::array: return array(node);
      case JsonNode::Type::string: return string(node.text);
      case JsonNode::Type::literal: break;
    }
    json_ += node.text;
    return true;
  }

  Result<bool> object(const JsonNode& node) {
    json_ += '{';
    for (const JsonMember& member : node.members) {
      if (&member != &node.members.front()) json_ += ',';
      name(member.name);
      Result<bool> written = value(member.value);
      if (!written.ok()) return written;
    }
    json_ += '}';
    return true;
  }

  Result<bool> array(const JsonNode& node) {
    json_ += '[';
    for (const JsonNode& element : node.elements) {
      if (&element != &node.elements.front()) json_ += ',';
      Result<bool> written = value(element);
      if (!written.ok()) return written;
    }
    json_ += ']';
    return true;
  }

  Result<bool> string(const std::string& text) {
    if (text.empty()) {
      json_ += "\"\"";
      return true;
    }
    const Result<Template> parsed = Template::parse(kArgument, text, Grammar::payload);
    if (!parsed.ok()) return parsed.error();
    const std::vector<TemplatePart>& parts = parsed.value().parts();
    const bool is_value = parts.size() == 1 && parts.front().has_placeholder && parts.front().literal.empty();
    if (!is_value) json_ += '"';
    for (const TemplatePart& part : parts) {
      append_json_text(json_, part.literal);
      if (!part.has_placeholder) continue;
      PayloadVariable variable;
      if (part.placeholder.path.empty() && !find_variable(part.placeholder.variable, variable)) {
        return unknown_variable(part.placeholder.variable);
      }
      member_.push_back({std::move(json_), true, !is_value, part.placeholder});
      json_.clear();
    }
    if (!is_value) json_ += '"';
    return true;
  }

  PayloadMember& member_;
  std::string json_;  // since the last placeholder
};

}  // namespace

bool find_variable(std::string_view name, PayloadVariable& variable) {
  constexpr std::string_view kNames[] = {"operation", "id", "batch_id", "timestamp", "epoch", "lsn", "table", "schema", "resource"};
  std::uint8_t number = 0;
  for (const std::string_view known : kNames) {
    variable = static_cast<PayloadVariable>(number++);
    if (name == known) return true;
  }
  return false;
}

Result<PayloadTemplate> parse_payload(std::string_view text) {
  Result<JsonNode> root = parse_json(kArgument, text);
  Error error;
  if (!root.ok()) {
    error = root.error();
  } else if (root.value().type != JsonNode::Type::object) {
    error.message = "argument \"payload\" is not a JSON object";
  }
  if (!error.message.empty()) {
    error.hint = kExample;
    return error;
  }
  PayloadTemplate result;
  for (const JsonMember& member : root.value().members) {
    result.emplace_back();
    Result<bool> written = MemberWriter(result.back()).write(member);
    if (!written.ok()) return written.error();
  }
  return result;
}

}  // namespace cache_invalidate::core
