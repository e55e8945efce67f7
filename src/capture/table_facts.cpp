#include "capture/table_facts.hpp"

#include "pg/text.hpp"

namespace cache_invalidate::capture {
namespace {

// Adds the primary key if the index is one.
bool add_primary_key(Relation table, Oid index, core::TableFacts& facts) {
  HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* row = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
  const bool is_key = row->indisprimary && row->indisvalid;
  for (int i = 0; is_key && i < row->indnkeyatts; ++i) {
    const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), row->indkey.values[i] - 1);
    facts.primary_key.emplace_back(pg::to_utf8_anyhow(NameStr(column->attname)));
  }
  facts.primary_key_deferrable = is_key && !row->indimmediate;
  ReleaseSysCache(tuple);
  return is_key;
}

}  // namespace

core::JsonKind json_kind_of(Oid type) {
  switch (getBaseType(type)) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
    case OIDOID:
      return core::JsonKind::number;
    case BOOLOID:
      return core::JsonKind::boolean;
    case JSONOID:
    case JSONBOID:
      return core::JsonKind::json;
    default:
      return core::JsonKind::text;
  }
}

Oid reported_table(Relation table) {
  if (!table->rd_rel->relispartition) return RelationGetRelid(table);
  List* ancestors = get_partition_ancestors(RelationGetRelid(table));
  const Oid root = ancestors == NIL ? RelationGetRelid(table) : llast_oid(ancestors);
  list_free(ancestors);
  return root;
}

const char* describe_trigger(const char* name, Oid table) {
  const char* schema = get_namespace_name(get_rel_namespace(table));
  const char* own = get_rel_name(table);
  return pg::to_utf8_anyhow(psprintf("trigger \"%s\" of table %s.%s", name, schema != nullptr ? schema : "", own != nullptr ? own : ""));
}

void require_select(Oid table, AttrNumber column) {
  if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK) return;
  const AclResult result = pg_attribute_aclcheck(table, column, GetUserId(), ACL_SELECT);
  if (result == ACLCHECK_OK) return;
  aclcheck_error_col(result, OBJECT_COLUMN, get_rel_name(table), get_attname(table, column, false));
}

void read_table_facts(Relation table, core::TableFacts& facts) {
  const Oid root = reported_table(table);
  const char* schema = get_namespace_name(get_rel_namespace(root));
  const char* name = get_rel_name(root);
  // Only the table itself is locked: what it is a partition of may be gone.
  facts.schema = pg::to_utf8_anyhow(schema != nullptr && name != nullptr ? schema : get_namespace_name(RelationGetNamespace(table)));
  facts.table = pg::to_utf8_anyhow(schema != nullptr && name != nullptr ? name : RelationGetRelationName(table));
  const TupleDesc descriptor = RelationGetDescr(table);
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute column = TupleDescAttr(descriptor, i);
    if (column->attisdropped) continue;
    facts.columns.push_back({pg::to_utf8_anyhow(NameStr(column->attname)), column->attnum, json_kind_of(column->atttypid)});
  }
  ListCell* cell;
  foreach (cell, RelationGetIndexList(table)) {
    if (add_primary_key(table, lfirst_oid(cell), facts)) break;
  }
}

void read_arguments(const Trigger& trigger, std::vector<std::string>& arguments) {
  for (int i = 0; i < trigger.tgnargs; ++i) arguments.emplace_back(pg::to_utf8(trigger.tgargs[i]));
}

}  // namespace cache_invalidate::capture
