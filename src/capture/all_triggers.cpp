#include "capture/all_triggers.hpp"

#include <algorithm>

#include "pg/extension.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// False: the table is just being dropped.
bool read_table(Oid table, const char* name, FoundTrigger& trigger) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  const char* table_name = pstrdup(NameStr(row->relname));
  const char* schema = get_namespace_name(row->relnamespace);
  trigger.relation = table;
  trigger.owner = row->relowner;
  ReleaseSysCache(tuple);
  if (schema == nullptr) return false;
  trigger.name = pg::to_utf8_anyhow(name);
  trigger.table = pg::to_utf8_anyhow(table_name);
  trigger.schema = pg::to_utf8_anyhow(schema);
  trigger.quoted = pg::to_utf8_anyhow(quote_identifier(name));
  trigger.quoted_table = pg::to_utf8_anyhow(quote_qualified_identifier(schema, table_name));
  return true;
}

// One after the other, each ended by NUL.
void read_arguments(HeapTuple tuple, TupleDesc descriptor, FoundTrigger& trigger) {
  trigger.count = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgnargs;
  trigger.argument = static_cast<const char**>(palloc(sizeof(const char*) * static_cast<Size>(Max(trigger.count, 1))));
  bool is_null;
  const Datum packed = heap_getattr(tuple, Anum_pg_trigger_tgargs, descriptor, &is_null);
  const char* argument = is_null ? "" : VARDATA_ANY(DatumGetByteaPCopy(packed));
  for (int i = 0; i < trigger.count; ++i) {
    trigger.argument[i] = pg::to_utf8_anyhow(argument);
    argument += strlen(argument) + 1;
  }
}

bool is_wanted(const FormData_pg_trigger& row, Which which) {
  if (which == Which::enabled) return row.tgenabled != TRIGGER_DISABLED;
  return !row.tgisinternal && !OidIsValid(row.tgparentid);
}

// Remembers what the last two functions were: of thousands of triggers most call the same ones.
class OurFunction {
 public:
  bool is(Oid function) {
    if (function == other_) return false;
    if (function == ours_) return true;
    const bool is_ours = pg::is_trigger_function(function);
    (is_ours ? ours_ : other_) = function;
    return is_ours;
  }

 private:
  Oid ours_ = InvalidOid;
  Oid other_ = InvalidOid;
};

}  // namespace

void FoundTriggers::add(const FoundTrigger& trigger) {
  if (count == room) {
    room = Max(16, room * 2);
    const Size size = sizeof(FoundTrigger) * static_cast<Size>(room);
    first = static_cast<FoundTrigger*>(first == nullptr ? palloc_extended(size, MCXT_ALLOC_HUGE) : repalloc_huge(first, size));
  }
  first[count++] = trigger;
}

const FoundTrigger* FoundTriggers::find(Oid oid) const {
  const FoundTrigger* begin = first;
  const FoundTrigger* end = first + count;
  const auto* found = std::lower_bound(begin, end, oid, [](const FoundTrigger& trigger, Oid other) { return trigger.oid < other; });
  return found != end && found->oid == oid ? found : nullptr;
}

FoundTriggers find_triggers(Which which) {
  FoundTriggers found;
  OurFunction our_function;
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    if (!is_wanted(*row, which) || !our_function.is(row->tgfoid)) continue;
    FoundTrigger trigger{};
    trigger.oid = row->oid;
    trigger.parent = row->tgparentid;
    trigger.type = row->tgtype;
    trigger.enabled = row->tgenabled;
    if (!read_table(row->tgrelid, pstrdup(NameStr(row->tgname)), trigger)) continue;
    read_arguments(tuple, RelationGetDescr(catalog), trigger);
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
  return core::parse_usable(trigger.arguments(), problem);
}

}  // namespace cache_invalidate::capture
