#include "capture/reset.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "capture/transaction.hpp"
#include "capture/vocabulary.hpp"
#include "core/expand.hpp"
#include "core/rule.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// A trigger of ours as the catalogs have it; the texts are UTF-8.
struct FoundTrigger {
  Oid oid;
  Oid parent;  // InvalidOid: it is no partition's clone
  Oid owner;   // of its table
  const char* table;
  const char* schema;
  int count;
  const char** arguments;
};

struct FoundTriggers {
  FoundTrigger* first = nullptr;
  int count = 0;
  int room = 0;

  void add(const FoundTrigger& trigger) {
    if (count == room) {
      room = Max(16, room * 2);
      const Size size = sizeof(FoundTrigger) * static_cast<Size>(room);
      first = static_cast<FoundTrigger*>(first == nullptr ? palloc(size) : repalloc(first, size));
    }
    first[count++] = trigger;
  }
  const FoundTrigger* find(Oid oid) const {
    const FoundTrigger* begin = first;
    const FoundTrigger* end = first + count;
    const auto* found = std::lower_bound(begin, end, oid, [](const FoundTrigger& trigger, Oid other) { return trigger.oid < other; });
    return found != end && found->oid == oid ? found : nullptr;
  }
};

// One after the other, each ended by NUL.
void read_arguments(HeapTuple tuple, TupleDesc descriptor, FoundTrigger& trigger) {
  trigger.count = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgnargs;
  trigger.arguments = static_cast<const char**>(palloc(sizeof(const char*) * static_cast<Size>(Max(trigger.count, 1))));
  bool is_null;
  const Datum packed = heap_getattr(tuple, Anum_pg_trigger_tgargs, descriptor, &is_null);
  const char* argument = is_null ? "" : VARDATA_ANY(DatumGetByteaPCopy(packed));
  for (int i = 0; i < trigger.count; ++i) {
    trigger.arguments[i] = pg::to_utf8_anyhow(argument);
    argument += strlen(argument) + 1;
  }
}

// False: the table is just being dropped.
bool read_table(Oid table, FoundTrigger& trigger) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  trigger.owner = row->relowner;
  trigger.table = pg::to_utf8_anyhow(pstrdup(NameStr(row->relname)));
  const char* schema = get_namespace_name(row->relnamespace);
  trigger.schema = schema == nullptr ? "" : pg::to_utf8_anyhow(schema);
  ReleaseSysCache(tuple);
  return true;
}

// All that may fire, in whatever session, in the order of their numbers; in memory of the current context.
FoundTriggers find_triggers() {
  FoundTriggers found;
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    if (row->tgenabled == TRIGGER_DISABLED || !pg::is_trigger_function(row->tgfoid)) continue;
    FoundTrigger trigger{};
    trigger.oid = row->oid;
    trigger.parent = row->tgparentid;
    if (!read_table(row->tgrelid, trigger)) continue;
    read_arguments(tuple, RelationGetDescr(catalog), trigger);
    found.add(trigger);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  std::sort(found.first, found.first + found.count, [](const FoundTrigger& a, const FoundTrigger& b) { return a.oid < b.oid; });
  return found;
}

// A clone that goes where the trigger goes that it was cloned from.
bool is_repeated(const FoundTriggers& all, const FoundTrigger& trigger) {
  const FoundTrigger* parent = OidIsValid(trigger.parent) ? all.find(trigger.parent) : nullptr;
  return parent != nullptr && parent->owner == trigger.owner;
}

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
  const core::RuleSpec spec = core::parse_usable(std::vector<std::string>(trigger.arguments, trigger.arguments + trigger.count), problem);
  if (what == Reset::everything) {
    for (const core::Template& key : spec.keys) add_whole(key, false, trigger, spec, level);
    for (const core::Template& pattern : spec.patterns) add_whole(pattern, true, trigger, spec, level);
  }
  if (!spec.has_channel || !spec.channel.empty()) add_message(spec, trigger.owner, reason, level);
  if (problem.empty()) return;
  const std::string context = std::string("trigger of table ") + trigger.schema + "." + trigger.table;
  changes().add_error({trigger.table, core::operation_name(core::Operation::reset), problem, context}, level);
}

}  // namespace

void note_reset(const char* reason, Reset what) {
  FoundTriggers triggers;
  int level = 0;
  pg::guarded([&] {
    triggers = find_triggers();
    level = GetCurrentTransactionNestLevel();
  });
  for (int i = 0; i < triggers.count; ++i) {
    if (!is_repeated(triggers, triggers.first[i])) note_trigger(triggers.first[i], reason, what, level);
  }
  if (triggers.count == 0) {
    core::RuleSpec nobody;
    nobody.servers = {""};  // there is none of that name
    add_message(nobody, InvalidOid, reason, level);
  }
  // It ends a time in which something may have been lost: it shall not be lost itself.
  require_journal();
  pg::guarded([] { changes_added(); });
}

}  // namespace cache_invalidate::capture
