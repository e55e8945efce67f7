#include "admin/attached_triggers.hpp"

#include "capture/inheritance.hpp"
#include "pg/extension.hpp"

namespace cache_invalidate::admin {
namespace {

constexpr const char* kPrefix = "cache_invalidation_";
constexpr const char* kSuffix = "_truncate";

char* make_name(const char* table, const char* suffix) {
  const int room = NAMEDATALEN - 1 - static_cast<int>(strlen(kPrefix) + strlen(suffix));
  return psprintf("%s%.*s%s", kPrefix, pg_mbcliplen(table, static_cast<int>(strlen(table)), room), table, suffix);
}

bool is_null(HeapTuple tuple, AttrNumber column, TupleDesc descriptor) {
  bool null;
  heap_getattr(tuple, column, descriptor, &null);
  return null;
}

List* read_arguments(HeapTuple tuple, TupleDesc descriptor) {
  bool null;
  const Datum packed = heap_getattr(tuple, Anum_pg_trigger_tgargs, descriptor, &null);
  const char* argument = null ? "" : VARDATA_ANY(DatumGetByteaPCopy(packed));
  List* arguments = NIL;
  for (int i = 0; i < reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgnargs; ++i) {
    arguments = lappend(arguments, const_cast<char*>(argument));
    argument += strlen(argument) + 1;
  }
  return arguments;
}

AttachedTrigger* read_trigger(HeapTuple tuple, TupleDesc descriptor) {
  const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
  auto* trigger = static_cast<AttachedTrigger*>(palloc0(sizeof(AttachedTrigger)));
  trigger->name = pstrdup(NameStr(row->tgname));
  trigger->is_ours = pg::is_trigger_function(row->tgfoid);
  trigger->is_clone = OidIsValid(row->tgparentid);
  trigger->is_plain = row->tgattr.dim1 == 0 && !OidIsValid(row->tgconstraint) && is_null(tuple, Anum_pg_trigger_tgqual, descriptor) &&
                      is_null(tuple, Anum_pg_trigger_tgoldtable, descriptor) && is_null(tuple, Anum_pg_trigger_tgnewtable, descriptor);
  trigger->type = row->tgtype;
  trigger->firing = row->tgenabled;
  trigger->arguments = read_arguments(tuple, descriptor);
  return trigger;
}

}  // namespace

List* read_attached(Oid table) {
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
  List* triggers = NIL;
  while (HeapTuple tuple = systable_getnext(scan)) {
    if (reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgisinternal) continue;
    triggers = lappend(triggers, read_trigger(tuple, RelationGetDescr(catalog)));
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return triggers;
}

const AttachedTrigger* find_attached(const List* triggers, const char* name) {
  const ListCell* cell;
  foreach (cell, triggers) {
    const auto* trigger = static_cast<const AttachedTrigger*>(lfirst(cell));
    if (strcmp(trigger->name, name) == 0) return trigger;
  }
  return nullptr;
}

char* row_trigger_name(const char* table) { return make_name(table, ""); }
char* truncate_trigger_name(const char* table) { return make_name(table, kSuffix); }
bool is_named_by_us(const char* trigger) { return strncmp(trigger, kPrefix, strlen(kPrefix)) == 0; }
char* companion_name(const char* row_trigger) { return truncate_trigger_name(row_trigger + strlen(kPrefix)); }

bool same_arguments(const List* left, const List* right) {
  if (list_length(left) != list_length(right)) return false;
  for (int i = 0; i < list_length(left); ++i) {
    if (strcmp(static_cast<const char*>(list_nth(left, i)), static_cast<const char*>(list_nth(right, i))) != 0) return false;
  }
  return true;
}

bool belongs_above(Oid table, const char* trigger, const List* tree) {
  const ListCell* cell;
  foreach (cell, capture::find_ancestors(table)) {
    const Oid ancestor = lfirst_oid(cell);
    if (ancestor == table || list_member_oid(tree, ancestor)) continue;
    const AttachedTrigger* found = find_attached(read_attached(ancestor), trigger);
    if (found != nullptr && found->is_ours) return true;
  }
  return false;
}

}  // namespace cache_invalidate::admin
