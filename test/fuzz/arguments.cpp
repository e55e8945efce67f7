// Arguments of a trigger: what CREATE TRIGGER accepts can be used, what it refuses is told, and no value makes of a key anything
// but a key of its template.
#include <string>
#include <string_view>
#include <vector>

#include "core/glob.hpp"
#include "core/payload_values.hpp"
#include "row.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

constexpr std::string_view kNasty[] = {"", "1", "*", "?[a-z]\\", "a\r\nDEL b\r\n", "\xff\xc3", "{id}", "}{", "]^-[", "\\*"};

std::vector<std::string> split(std::string_view input) {
  std::vector<std::string> arguments;
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\0'), input.size());
    arguments.emplace_back(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return arguments;
}

void expand_key(const core::BoundTemplate& bound, const core::Template& source, const core::Value* values) {
  std::string key;
  const core::Expansion expansion = core::expand(bound, values, key);
  require(expansion == core::Expansion::exact, "known values of a usual length give a key");
  require(core::Glob(core::widen(source, false)).matches(key), "the glob of a template matches its keys");
}

void expand_pattern(const core::BoundTemplate& bound, const core::Value* values, std::string_view value) {
  std::string glob;
  const core::Expansion expansion = core::expand_glob(bound, values, glob);
  require(expansion == core::Expansion::exact, "known values of a usual length give a pattern");
  // A template that is itself a glob says what its own text matches; one of a value alone matches that value alone.
  if (bound.size() != 1 || !bound.front().literal.empty() || bound.front().input < 0) return;
  const core::Glob matcher(glob);
  require(matcher.stars() == 0 && matcher.matches(value), "a value is no wildcard");
  for (const std::string_view other : kNasty) require(matcher.matches(other) == (other == value), "a value is itself alone");
}

void use(const core::RuleSpec& spec, const core::Rule& rule) {
  for (const std::string_view value : kNasty) {
    const std::vector<core::Value> values = row_for(rule, value);
    require(rule.keys.size() == spec.keys.size(), "each key is bound");
    for (std::size_t i = 0; i < rule.keys.size(); ++i) expand_key(rule.keys[i], spec.keys[i], values.data());
    for (const core::BoundTemplate& pattern : rule.patterns) expand_pattern(pattern, values.data(), value);
    std::string out;
    if (!rule.id.empty()) core::expand(rule.id, values.data(), out);
    core::render_row(rule, values.data(), out);
  }
}

}  // namespace

void arguments(std::string_view input) {
  const std::vector<std::string> given = split(input);
  const core::Result<core::RuleSpec> parsed = core::parse_rule(given);
  std::string problem;
  const core::RuleSpec usable = core::parse_usable(given, problem);
  require(parsed.ok() == problem.empty(), "what is refused has a problem, and nothing else has");
  require(parsed.ok() || !parsed.error().message.empty(), "an error says something");
  std::string odd;
  require(core::bind_rule(usable, core::TableFacts(), &odd).ok(), "what can be used is bound, whatever the table has");
  const core::Result<core::Rule> bound = core::bind_rule(usable, table_for(usable));
  if (bound.ok()) use(usable, bound.value());
}

}  // namespace cache_invalidate::fuzz
