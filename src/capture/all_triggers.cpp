#include "capture/all_triggers.hpp"

#include <algorithm>
#include <vector>

#include "pg/extension.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// False: the table is just being dropped.
bool read_table(Oid table, FoundTrigger& trigger) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  trigger.relation = table;
  trigger.owner = row->relowner;
  trigger.table = pg::to_utf8_anyhow(pstrdup(NameStr(row->relname)));
  const char* schema = get_namespace_name(row->relnamespace);
  trigger.schema = schema == nullptr ? "" : pg::to_utf8_anyhow(schema);
  ReleaseSysCache(tuple);
  return true;
}

}  // namespace

// One after the other, each ended by NUL.
const char** read_trigger_arguments(HeapTuple tuple, TupleDesc descriptor) {
  const int count = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgnargs;
  auto** arguments = static_cast<const char**>(palloc(sizeof(const char*) * static_cast<Size>(Max(count, 1))));
  bool is_null;
  const Datum packed = heap_getattr(tuple, Anum_pg_trigger_tgargs, descriptor, &is_null);
  const char* argument = is_null ? "" : VARDATA_ANY(DatumGetByteaPCopy(packed));
  for (int i = 0; i < count; ++i) {
    arguments[i] = pg::to_utf8_anyhow(argument);
    argument += strlen(argument) + 1;
  }
  return arguments;
}

void FoundTriggers::add(const FoundTrigger& trigger) {
  if (count == room) {
    room = Max(16, room * 2);
    const Size size = sizeof(FoundTrigger) * static_cast<Size>(room);
    first = static_cast<FoundTrigger*>(first == nullptr ? palloc(size) : repalloc(first, size));
  }
  first[count++] = trigger;
}

const FoundTrigger* FoundTriggers::find(Oid oid) const {
  const FoundTrigger* begin = first;
  const FoundTrigger* end = first + count;
  const auto* found = std::lower_bound(begin, end, oid, [](const FoundTrigger& trigger, Oid other) { return trigger.oid < other; });
  return found != end && found->oid == oid ? found : nullptr;
}

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
    trigger.name = pg::to_utf8_anyhow(pstrdup(NameStr(row->tgname)));
    if (!read_table(row->tgrelid, trigger)) continue;
    trigger.count = row->tgnargs;
    trigger.arguments = read_trigger_arguments(tuple, RelationGetDescr(catalog));
    found.add(trigger);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  std::sort(found.first, found.first + found.count, [](const FoundTrigger& a, const FoundTrigger& b) { return a.oid < b.oid; });
  return found;
}

bool is_repeated(const FoundTriggers& all, const FoundTrigger& trigger, bool by_owner) {
  const FoundTrigger* parent = OidIsValid(trigger.parent) ? all.find(trigger.parent) : nullptr;
  return parent != nullptr && (!by_owner || parent->owner == trigger.owner);
}

core::RuleSpec usable_arguments(const FoundTrigger& trigger, std::string& problem) {
  return core::parse_usable(std::vector<std::string>(trigger.arguments, trigger.arguments + trigger.count), problem);
}

}  // namespace cache_invalidate::capture
