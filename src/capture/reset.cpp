#include "capture/reset.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "capture/all_triggers.hpp"
#include "capture/transaction.hpp"
#include "capture/trigger_counts.hpp"
#include "capture/vocabulary.hpp"
#include "core/expand.hpp"
#include "core/rule.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::capture {
namespace {

// Without placeholders it gives one key, which needs no search.
bool is_constant(const core::Template& source) {
  return std::none_of(source.parts().begin(), source.parts().end(), [](const core::TemplatePart& part) { return part.has_placeholder; });
}

void add_whole(const core::Template& source, bool is_glob, const FoundTrigger& trigger, const core::RuleSpec& spec, int level) {
  const std::string glob = core::widen(source, is_glob);
  const std::uint32_t scope = scope_number(trigger.owner, spec.servers, glob);
  if (is_glob || !is_constant(source)) {
    changes().add_pattern(scope, glob, level);
    return;
  }
  std::string key;
  for (const core::TemplatePart& part : source.parts()) key += part.literal;
  changes().add_key(scope, key, level);
}

// Of all triggers that send to the same place, and in the same shape, one.
void add_message(const core::RuleSpec& spec, Oid owner, const char* reason, int level) {
  core::Shape shape;
  shape.format = spec.format == core::Format::resource ? core::Format::resource : core::Format::record;
  shape.has_channel = spec.has_channel;
  shape.channel = spec.channel;
  changes().add_change(shape_number(shape, InvalidOid, owner, spec.servers), reason, core::Operation::reset, {}, level, {false});
}

void note_trigger(const FoundTrigger& trigger, const char* reason, Reset what, int level) {
  std::string problem;
  const core::RuleSpec spec = usable_arguments(trigger, problem);
  if (what == Reset::everything) {
    for (const core::Template& key : spec.keys) add_whole(key, false, trigger, spec, level);
    for (const core::Template& pattern : spec.patterns) add_whole(pattern, true, trigger, spec, level);
  }
  if (!spec.has_channel || !spec.channel.empty()) add_message(spec, trigger.owner, reason, level);
  if (problem.empty()) return;
  const std::string context = std::string("trigger \"") + trigger.name + "\" of table " + trigger.schema + "." + trigger.table;
  changes().add_error({trigger.table, core::operation_name(core::Operation::reset), problem, context}, level);
}

}  // namespace

void note_reset(const char* reason, Reset what) {
  FoundTriggers triggers;
  int level = 0;
  pg::guarded([&] {
    triggers = find_triggers(Which::enabled);
    level = GetCurrentTransactionNestLevel();
  });
  for (int i = 0; i < triggers.count; ++i) {
    if (!is_repeated(triggers, triggers.first[i], true)) note_trigger(triggers.first[i], reason, what, level);
  }
  if (triggers.count == 0) {
    core::RuleSpec nobody;
    nobody.servers = {""};  // there is none of that name
    add_message(nobody, InvalidOid, reason, level);
  }
  count_reset(level);
  // It ends a time in which something may have been lost: it shall not be lost itself.
  require_journal();
  pg::guarded([] { changes_added(); });
}

}  // namespace cache_invalidate::capture
