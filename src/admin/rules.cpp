// cache_invalidate_rules(): source of the view cache_invalidation_triggers: the arguments of each trigger as SQL sees them,
// what is wrong with it, and what it gave so far.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "admin/row.hpp"
#include "admin/rule_check.hpp"
#include "capture/all_triggers.hpp"
#include "capture/table_changes.hpp"
#include "journal/board.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

// ---- What the board has

struct Counted {
  Oid trigger;
  std::uint64_t changes;
  std::uint64_t items;
  std::uint64_t widened;
  TimestampTz last_fired;
};

// One look at the board, by trigger. A trigger may have a second place for a while after the table was cleared.
class CountedTriggers {
 public:
  explicit CountedTriggers(journal::Board* board) : exists_(board != nullptr) {
    if (board == nullptr) return;
    for (journal::TriggerCounts& counts : board->triggers.place) {
      const Oid trigger = pg_atomic_read_u32(&counts.trigger);
      if (!OidIsValid(trigger)) continue;
      counted_.push_back({trigger, pg_atomic_read_u64(&counts.changes), pg_atomic_read_u64(&counts.items), pg_atomic_read_u64(&counts.widened),
                          static_cast<TimestampTz>(pg_atomic_read_u64(&counts.last_fired))});
    }
    is_full_ = counted_.size() == journal::TriggerTable::kPlaces;
    std::sort(counted_.begin(), counted_.end(), [](const Counted& a, const Counted& b) { return a.trigger < b.trigger; });
  }

  // False: it is not counted.
  bool find(Oid trigger, Counted& sum) const {
    sum = Counted{};
    auto at = std::lower_bound(counted_.begin(), counted_.end(), trigger, [](const Counted& c, Oid oid) { return c.trigger < oid; });
    const bool found = at != counted_.end() && at->trigger == trigger;
    for (; at != counted_.end() && at->trigger == trigger; ++at) {
      sum.changes += at->changes;
      sum.items += at->items;
      sum.widened += at->widened;
      sum.last_fired = std::max(sum.last_fired, at->last_fired);
    }
    return exists_ && (found || !is_full_);
  }

 private:
  bool exists_;
  bool is_full_ = false;
  std::vector<Counted> counted_;
};

// ---- Rows

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// The values of all arguments of this name, as they were written.
std::vector<std::string> values_of(const capture::FoundTrigger& trigger, std::string_view name) {
  std::vector<std::string> values;
  for (int i = 0; i < trigger.count; ++i) {
    const std::string_view argument(trigger.argument[i]);
    const std::size_t equals = argument.find('=');
    if (equals != std::string_view::npos && trimmed(argument.substr(0, equals)) == name) values.emplace_back(argument.substr(equals + 1));
  }
  return values;
}

std::vector<std::string> field_names(const core::RuleSpec& spec) {
  std::vector<std::string> names;
  for (const core::FieldSpec& field : spec.fields) {
    const bool is_own = field.path.size() == 1 && field.path.front() == field.name;
    names.push_back(is_own ? field.name : field.name + "=" + core::path_text(field.path));
  }
  return names;
}

const char* format_name(core::Format format) {
  switch (format) {
    case core::Format::record: return "record";
    case core::Format::resource: return "resource";
    case core::Format::custom: return "custom";
  }
  return "record";
}

// A rule as it was written. It owns memory, so it is made where no error of the server jumps past it.
struct Written {
  Written(const capture::FoundTrigger& trigger, const core::RuleSpec& spec)
      : resource(spec.has_resource ? spec.resource : trigger.table), keys(values_of(trigger, "key")), patterns(values_of(trigger, "pattern")),
        id(values_of(trigger, "id")), payload(values_of(trigger, "payload")), channel(values_of(trigger, "channel")), fields(field_names(spec)) {}

  std::string resource;
  std::vector<std::string> keys, patterns, id, payload, channel, fields;
};

void add_rule(Row& row, const Written& written, const core::RuleSpec& spec) {
  const auto add_single = [&row](const std::vector<std::string>& values) { row.add_utf8(values.empty() ? nullptr : &values.front()); };
  row.add_utf8(&written.resource);
  row.add_list(written.keys);
  row.add_list(written.patterns);
  add_single(written.id);
  row.add_list(spec.columns);
  row.add_list(spec.ignore);
  row.add_list(written.fields);
  row.add_text(format_name(spec.format));
  add_single(written.payload);
  add_single(written.channel);
  row.add_list(spec.servers);
}

void add_counts(Row& row, const CountedTriggers& counted, Oid trigger) {
  Counted sum;
  const bool is_known = counted.find(trigger, sum);
  row.add_count(sum.changes, is_known);
  row.add_count(sum.items, is_known);
  row.add_count(sum.widened, is_known);
  row.add_time(is_known ? sum.last_fired : 0);
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(rules) {
  pg::begin_result_set(fcinfo);
  auto& result = *reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr) return Datum(0);
  const Oid wrapper = extension->wrapper;
  journal::Board* board = journal::attach_board();
  const capture::FoundTriggers triggers = capture::find_triggers(capture::Which::no_clones);
  const CountedTriggers counted(board);
  RuleCheck checks(wrapper);
  MemoryContext own = nullptr;
  pg::guarded([&] { own = AllocSetContextCreate(CurrentMemoryContext, "cache_invalidate rules", ALLOCSET_DEFAULT_SIZES); });
  const MemoryContext outer = MemoryContextSwitchTo(own);
  for (int i = 0; i < triggers.count; ++i) {
    const capture::FoundTrigger& trigger = triggers.first[i];
    const std::vector<std::string> arguments = trigger.arguments();
    const core::Result<core::RuleSpec> parsed = core::parse_rule(arguments);
    std::string problem;
    const core::RuleSpec usable = parsed.ok() ? core::RuleSpec() : core::parse_usable(arguments, problem);
    const core::RuleSpec& spec = parsed.ok() ? parsed.value() : usable;
    const Finding found = checks.check(trigger, spec, parsed.ok() ? nullptr : &parsed.error());
    const Written written(trigger, spec);
    pg::guarded([&] {
      CHECK_FOR_INTERRUPTS();
      Row row;
      row.add(ObjectIdGetDatum(trigger.oid));
      add_rule(row, written, spec);
      row.add_utf8(found.problem.empty() ? nullptr : &found.problem);
      row.add_utf8(found.cure.empty() ? nullptr : &found.cure);
      add_counts(row, counted, trigger.oid);
      row.store(result);
      MemoryContextReset(own);
    });
  }
  MemoryContextSwitchTo(outer);
  return Datum(0);
}

// pg_get_triggerdef() opens the table of a trigger that has a condition, and would wait for it. NULL: it is locked.
CACHE_INVALIDATE_FUNCTION(trigger_definition) {
  const Oid trigger = PG_GETARG_OID(0);
  const Oid table = capture::find_table_of_trigger(trigger);
  if (!OidIsValid(table) || !ConditionalLockRelationOid(table, AccessShareLock)) PG_RETURN_NULL();
  // It may be gone since.
  const bool exists = OidIsValid(capture::find_table_of_trigger(trigger));
  const Datum definition = exists ? DirectFunctionCall1(pg_get_triggerdef, ObjectIdGetDatum(trigger)) : Datum(0);
  UnlockRelationOid(table, AccessShareLock);
  if (!exists) PG_RETURN_NULL();
  PG_RETURN_DATUM(definition);
}

}  // namespace cache_invalidate::admin
