#include "admin/imagined_change.hpp"

#include "capture/row_reader.hpp"
#include "capture/table_triggers.hpp"

namespace cache_invalidate::admin {
namespace {

// Domains and conditions may call functions of the table's owner: they are called as by whoever maintains the table for him, such
// as CREATE INDEX. An error puts everything back by itself.
struct Caller {
  Oid user;
  int context;
  int settings;
};

Caller become_owner(Relation table) {
  Caller caller{};
  GetUserIdAndSecContext(&caller.user, &caller.context);
  SetUserIdAndSecContext(table->rd_rel->relowner, caller.context | SECURITY_RESTRICTED_OPERATION);
  caller.settings = NewGUCNestLevel();
  return caller;
}

void become(const Caller& caller) {
  AtEOXact_GUC(false, caller.settings);
  SetUserIdAndSecContext(caller.user, caller.context);
}

bool has_column(TupleDesc row, const char* name, int length) {
  for (int i = 0; i < row->natts; ++i) {
    const Form_pg_attribute column = TupleDescAttr(row, i);
    const char* known = NameStr(column->attname);
    if (!column->attisdropped && static_cast<int>(strlen(known)) == length && memcmp(known, name, static_cast<Size>(length)) == 0) return true;
  }
  return false;
}

void tell_strangers(Relation table, Jsonb* object) {
  JsonbIterator* members = JsonbIteratorInit(&object->root);
  JsonbValue member;
  while (true) {
    const JsonbIteratorToken token = JsonbIteratorNext(&members, &member, true);
    if (token == WJB_DONE) return;
    if (token != WJB_KEY || has_column(RelationGetDescr(table), member.val.string.val, member.val.string.len)) continue;
    ereport(NOTICE, (errmsg("\"%s\" has no column \"%.*s\"", RelationGetRelationName(table), member.val.string.len, member.val.string.val),
                     errdetail("The member of the JSON object is ignored.")));
  }
}

// jsonb_populate_record(NULL::table, object). Called without SQL, which would have to name the table.
Datum populate(Oid row_type, Jsonb* object) {
  FmgrInfo function;
  fmgr_info(F_JSONB_POPULATE_RECORD, &function);
  Const* type = makeNullConst(row_type, -1, InvalidOid);
  Const* value = makeConst(JSONBOID, -1, InvalidOid, -1, JsonbPGetDatum(object), false, false);
  auto* call = makeFuncExpr(F_JSONB_POPULATE_RECORD, row_type, list_make2(type, value), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
  fmgr_info_set_expr(reinterpret_cast<Node*>(call), &function);
  LOCAL_FCINFO(arguments, 2);
  InitFunctionCallInfoData(*arguments, &function, 2, InvalidOid, nullptr, nullptr);
  arguments->args[0].value = Datum(0);
  arguments->args[0].isnull = true;
  arguments->args[1].value = JsonbPGetDatum(object);
  arguments->args[1].isnull = false;
  return FunctionCallInvoke(arguments);
}

// As the server's own check before it fires a trigger.
bool condition_holds(const ImaginedChange& change, const Trigger& trigger) {
  const Caller caller = become_owner(change.table);
  EState* state = CreateExecutorState();
  MemoryContext previous = MemoryContextSwitchTo(state->es_query_cxt);
  Node* condition = pg::trigger_condition(trigger, change.table);
  ChangeVarNodes(condition, PRS2_OLD_VARNO, INNER_VAR, 0);
  ChangeVarNodes(condition, PRS2_NEW_VARNO, OUTER_VAR, 0);
  ExprState* compiled = ExecPrepareQual(make_ands_implicit(reinterpret_cast<Expr*>(condition)), state);
  ExprContext* context = GetPerTupleExprContext(state);
  context->ecxt_innertuple = change.before;
  context->ecxt_outertuple = change.after;
  const bool holds = ExecQual(compiled, context);
  MemoryContextSwitchTo(previous);
  FreeExecutorState(state);
  become(caller);
  return holds;
}

const char* why_disabled(const Trigger& trigger) {
  if (trigger.tgenabled == TRIGGER_DISABLED) return "It is disabled.";
  if (trigger.tgenabled == TRIGGER_FIRES_ON_REPLICA) return "It is enabled for replicas, and session_replication_role is not \"replica\".";
  return "It is not enabled ALWAYS, and session_replication_role is \"replica\".";
}

}  // namespace

TupleTableSlot* make_row(Relation table, Jsonb* object) {
  tell_strangers(table, object);
  const Caller caller = become_owner(table);
  HeapTupleHeader record = DatumGetHeapTupleHeader(populate(table->rd_rel->reltype, object));
  become(caller);
  HeapTupleData tuple{};
  tuple.t_len = HeapTupleHeaderGetDatumLength(record);
  tuple.t_tableOid = RelationGetRelid(table);
  tuple.t_data = record;
  ItemPointerSetInvalid(&tuple.t_self);
  TupleTableSlot* slot = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsHeapTuple);
  return ExecStoreHeapTuple(heap_copytuple(&tuple), slot, false);
}

const char* why_silent(const ImaginedChange& change, const Trigger& trigger) {
  if (!capture::is_enabled(trigger)) return why_disabled(trigger);
  const bool row_wise = change.operation != core::Operation::truncate;
  if (change.operation == core::Operation::update && trigger.tgnattr > 0 &&
      !capture::any_changed(trigger.tgattr, static_cast<std::size_t>(trigger.tgnattr), change.before, change.after)) {
    return "None of the columns of its UPDATE OF differs.";
  }
  // A TRUNCATE asks no condition of a row trigger: there is no row.
  const bool asks = trigger.tgqual != nullptr && row_wise == static_cast<bool>(TRIGGER_FOR_ROW(trigger.tgtype));
  return asks && !condition_holds(change, trigger) ? "Its WHEN condition does not hold." : nullptr;
}

}  // namespace cache_invalidate::admin
