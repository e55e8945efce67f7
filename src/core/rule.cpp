#include "core/rule.hpp"

#include <algorithm>

namespace cache_invalidate::core {
namespace {

constexpr std::size_t kChannelLimit = 63;   // NOTIFY's own
constexpr std::size_t kResourceLimit = 255;
constexpr const char* kArgumentNames =
    "Arguments are \"key\", \"pattern\", \"resource\", \"id\", \"payload\", \"fields\", \"format\", \"channel\", \"server\", "
    "\"columns\", \"ignore\" and \"unchanged\", each written as 'name=value'.";

Error argument_error(const char* code, std::string message, std::string detail, std::string hint) {
  Error error;
  error.sqlstate = code;
  error.message = std::move(message);
  error.detail = std::move(detail);
  error.hint = std::move(hint);
  return error;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Splits "a, b,c"; an empty element is an error, since it is a slip of the pen more often than a wish.
Result<std::vector<std::string>> split_list(std::string_view name, std::string_view value) {
  std::vector<std::string> items;
  while (true) {
    const std::size_t comma = value.find(',');
    const std::string_view item = trimmed(value.substr(0, comma));
    if (item.empty()) {
      return argument_error(sqlstate::kInvalidParameterValue,
                            "empty name in argument \"" + std::string(name) + "\"", "",
                            "Write the names with commas between them, as in \"" + std::string(name) + "=a,b\".");
    }
    items.emplace_back(item);
    if (comma == std::string_view::npos) return items;
    value.remove_prefix(comma + 1);
  }
}

Result<bool> parse_fields(std::string_view value, RuleSpec& spec) {
  Result<std::vector<std::string>> items = split_list("fields", value);
  if (!items.ok()) return items.error();
  for (const std::string& item : items.value()) {
    const std::size_t equals = item.find('=');
    FieldSpec field;
    field.name = trimmed(std::string_view(item).substr(0, equals));
    const std::string column = equals == std::string::npos ? field.name : std::string(trimmed(std::string_view(item).substr(equals + 1)));
    if (field.name.empty() || column.empty()) {
      return argument_error(sqlstate::kInvalidParameterValue, "invalid item in argument \"fields\": \"" + item + "\"", "",
                            "Write a column's name, or a name in the message and the column, as in "
                            "\"fields=title,projectId=project_id\".");
    }
    Result<ColumnPath> path = parse_path("fields", column);
    if (!path.ok()) return path.error();
    field.path = path.take();
    if (equals == std::string::npos) field.name = field.path.back();
    spec.fields.push_back(std::move(field));
  }
  return true;
}

// A JSON object with two members of one name means different things to different readers.
Result<bool> check_field_names(const RuleSpec& spec) {
  std::vector<std::string> taken = spec.format == Format::record
                                       ? std::vector<std::string>{"table", "operation", "record_id", "timestamp", "batch_id"}
                                       : std::vector<std::string>{"resource", "id", "action", "timestamp"};
  for (const FieldSpec& field : spec.fields) {
    if (std::find(taken.begin(), taken.end(), field.name) != taken.end()) {
      return argument_error(sqlstate::kDuplicateObject, "field \"" + field.name + "\" would stand in the message twice", "",
                            "Give it another name, as in \"fields=" + field.name + "2=" + path_text(field.path) + "\".");
    }
    taken.push_back(field.name);
  }
  return true;
}

// In a glob a placeholder must stand where text stands: inside brackets or behind a backslash its value would
// mean something else.
Result<bool> check_pattern(std::string_view text, const Template& pattern) {
  bool in_brackets = false;
  bool escaped = false;
  for (const TemplatePart& part : pattern.parts()) {
    for (const char c : part.literal) {
      if (escaped) {
        escaped = false;
      } else if (c == '\\') {
        escaped = true;
      } else if (c == '[') {
        in_brackets = true;
      } else if (c == ']') {
        in_brackets = false;
      }
    }
    if (part.has_placeholder && (in_brackets || escaped)) {
      return argument_error(sqlstate::kSyntaxError, "invalid template in argument \"pattern\": \"" + std::string(text) + "\"",
                            "Placeholder \"{" + path_text(part.placeholder.path) + "}\" stands inside brackets or behind a backslash.",
                            "Put placeholders where the glob has plain text.");
    }
  }
  return true;
}

Result<bool> parse_format(std::string_view value, RuleSpec& spec) {
  if (value == "record") {
    spec.format = Format::record;
  } else if (value == "resource") {
    spec.format = Format::resource;
  } else {
    return argument_error(sqlstate::kInvalidParameterValue, "invalid value for argument \"format\": \"" + std::string(value) + "\"", "",
                          "Available formats are \"record\" and \"resource\".");
  }
  return true;
}

Result<bool> parse_unchanged(std::string_view value, RuleSpec& spec) {
  if (value != "send" && value != "skip") {
    return argument_error(sqlstate::kInvalidParameterValue, "invalid value for argument \"unchanged\": \"" + std::string(value) + "\"", "",
                          "With \"send\" an UPDATE that changes nothing counts as a change; with \"skip\", the default, it does not.");
  }
  spec.send_unchanged = value == "send";
  return true;
}

Result<bool> parse_channel(std::string_view value, RuleSpec& spec) {
  if (value.size() > kChannelLimit) {
    return argument_error(sqlstate::kInvalidName, "channel name \"" + std::string(value) + "\" is too long",
                          "It has " + std::to_string(value.size()) + " bytes.",
                          "A channel name may have at most 63 bytes; an empty one sends no message.");
  }
  spec.channel = value;
  return true;
}

Result<bool> parse_resource(std::string_view value, RuleSpec& spec) {
  if (value.empty() || value.size() > kResourceLimit) {
    return argument_error(sqlstate::kInvalidParameterValue, "invalid value for argument \"resource\": \"" + std::string(value) + "\"",
                          "It has " + std::to_string(value.size()) + " bytes.", "A resource name has 1 to 255 bytes.");
  }
  spec.resource = value;
  return true;
}

Result<bool> assign_list(std::string_view name, std::string_view value, std::vector<std::string>& list) {
  Result<std::vector<std::string>> items = split_list(name, value);
  if (!items.ok()) return items.error();
  list = items.take();
  return true;
}

Result<bool> parse_message(std::string_view value, RuleSpec& spec) {
  Result<PayloadTemplate> parsed = parse_payload(value);
  if (!parsed.ok()) return parsed.error();
  spec.payload = parsed.take();
  return true;
}

// A payload is the whole message.
Result<bool> settle_format(const std::vector<std::string>& given, RuleSpec& spec) {
  const auto is_given = [&given](std::string_view name) { return std::find(given.begin(), given.end(), name) != given.end(); };
  if (!is_given("payload")) return true;
  for (const char* other : {"format", "fields"}) {
    if (!is_given(other)) continue;
    return argument_error(sqlstate::kInvalidParameterValue, "arguments \"payload\" and \"" + std::string(other) + "\" exclude each other",
                          "", "A payload says all that is in a message: put the columns into it.");
  }
  spec.format = Format::custom;
  return true;
}

Result<bool> parse_argument(std::string_view name, std::string_view value, RuleSpec& spec) {
  if (name == "key" || name == "pattern" || name == "id") {
    Result<Template> parsed = Template::parse(name, value);
    if (!parsed.ok()) return parsed.error();
    if (name == "id") {
      spec.id = parsed.take();
    } else if (name == "pattern") {
      Result<bool> checked = check_pattern(value, parsed.value());
      if (!checked.ok()) return checked.error();
      spec.patterns.push_back(parsed.take());
    } else {
      spec.keys.push_back(parsed.take());
    }
    return true;
  }
  if (name == "resource") return parse_resource(value, spec);
  if (name == "payload") return parse_message(value, spec);
  if (name == "fields") return parse_fields(value, spec);
  if (name == "format") return parse_format(value, spec);
  if (name == "unchanged") return parse_unchanged(value, spec);
  if (name == "channel") return parse_channel(value, spec);
  if (name == "server") return assign_list(name, value, spec.servers);
  if (name == "columns") return assign_list(name, value, spec.columns);
  if (name == "ignore") return assign_list(name, value, spec.ignore);
  return argument_error(sqlstate::kInvalidParameterValue, "unrecognized argument \"" + std::string(name) + "\"", "", kArgumentNames);
}

}  // namespace

Result<RuleSpec> parse_rule(const std::vector<std::string>& arguments) {
  RuleSpec spec;
  std::vector<std::string> seen;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      return argument_error(sqlstate::kSyntaxError, "invalid argument \"" + argument + "\"", "There is no \"=\" in it.", kArgumentNames);
    }
    const std::string name(trimmed(std::string_view(argument).substr(0, equals)));
    const bool repeatable = name == "key" || name == "pattern";
    if (!repeatable && std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return argument_error(sqlstate::kDuplicateObject, "argument \"" + name + "\" is given more than once", "",
                            "Only \"key\" and \"pattern\" may be repeated.");
    }
    seen.push_back(name);
    Result<bool> parsed = parse_argument(name, std::string_view(argument).substr(equals + 1), spec);
    if (!parsed.ok()) return parsed.error();
    if (name == "id") spec.has_id = true;
    if (name == "resource") spec.has_resource = true;
    if (name == "channel") spec.has_channel = true;
  }
  Result<bool> checked = settle_format(seen, spec);
  if (!checked.ok()) return checked.error();
  checked = check_field_names(spec);
  if (!checked.ok()) return checked.error();
  if (!spec.columns.empty() && !spec.ignore.empty()) {
    return argument_error(sqlstate::kInvalidParameterValue, "arguments \"columns\" and \"ignore\" exclude each other", "",
                          "Name the columns that count, or those that do not.");
  }
  if (spec.send_unchanged && !(spec.columns.empty() && spec.ignore.empty())) {
    return argument_error(sqlstate::kInvalidParameterValue, "argument \"unchanged=send\" contradicts \"columns\" and \"ignore\"", "",
                          "Those let an UPDATE count only if something changed.");
  }
  return spec;
}

RuleSpec parse_usable(const std::vector<std::string>& arguments, std::string& problem) {
  Result<RuleSpec> all = parse_rule(arguments);
  if (all.ok()) return all.take();
  problem = all.error().message;
  RuleSpec usable;
  std::vector<std::string> kept;
  for (const std::string& argument : arguments) {
    kept.push_back(argument);
    Result<RuleSpec> parsed = parse_rule(kept);
    if (parsed.ok()) {
      usable = parsed.take();
    } else {
      kept.pop_back();
    }
  }
  return usable;
}

}  // namespace cache_invalidate::core
