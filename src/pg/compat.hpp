// All differences between the server's major versions 14 to 18. Included by pg/postgres.hpp.
#pragma once

// Before 16 the server leaves this empty, and with hidden visibility nothing of ours would be found.
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

namespace cache_invalidate::pg {

// While the library is being preloaded: has the function called when shared memory can be asked for.
template <void (*request)()>
void when_shared_memory_is_requested() {
#if PG_VERSION_NUM >= 150000
  static shmem_request_hook_type previous = nullptr;
  previous = shmem_request_hook;
  shmem_request_hook = [] {
    if (previous != nullptr) previous();
    request();
  };
#else
  request();
#endif
}

// Number of this process in ProcGlobal, by which others find its latch.
inline int own_proc_number() {
#if PG_VERSION_NUM >= 170000
  return MyProcNumber;
#else
  return MyProc->pgprocno;
#endif
}

// What a worker or the launcher waits for when it waits for everything.
inline uint32 main_wait_event() {
#if PG_VERSION_NUM >= 170000
  static uint32 event = 0;
  if (event == 0) event = WaitEventExtensionNew("CacheInvalidateMain");
  return event;
#else
  return PG_WAIT_EXTENSION;
#endif
}

inline WaitEventSet* create_wait_event_set(int events) {
#if PG_VERSION_NUM >= 170000
  return CreateWaitEventSet(nullptr, events);
#else
  return CreateWaitEventSet(TopMemoryContext, events);
#endif
}

// One more than the highest number of a process that may write: known before the server knows it itself.
inline int proc_number_limit() {
  constexpr int kSpecialProcesses = 64;
#if PG_VERSION_NUM >= 180000
  const int autovacuum = autovacuum_worker_slots;
#else
  const int autovacuum = autovacuum_max_workers;
#endif
  return MaxConnections + autovacuum + max_worker_processes + max_wal_senders + kSpecialProcesses;
}

inline IndexScanDesc begin_index_scan(Relation table, Relation index, Snapshot snapshot, int keys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

// The sequence of an identity column; InvalidOid: it has none.
inline Oid identity_sequence(Relation table, AttrNumber column) {
#if PG_VERSION_NUM >= 170000
  return getIdentitySequence(table, column, true);
#else
  return getIdentitySequence(RelationGetRelid(table), column, true);
#endif
}

// Does this transaction hold this very lock?
inline bool holds_table_lock(Oid table, LOCKMODE mode) {
  LOCKTAG tag;
  SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
#if PG_VERSION_NUM >= 170000
  return LockHeldByMe(&tag, mode, false);
#else
  return LockHeldByMe(&tag, mode);
#endif
}

// pg_attribute.attgenerated of a column that is computed when it is read; there are such from 18 on.
inline constexpr char kVirtualColumn = 'v';

// The WHEN condition of a trigger, as the server prepares it before OLD and NEW become rows.
inline Node* trigger_condition(const Trigger& trigger, [[maybe_unused]] Relation table) {
  auto* condition = static_cast<Node*>(stringToNode(trigger.tgqual));
#if PG_VERSION_NUM >= 180000
  condition = expand_generated_columns_in_expr(condition, table, PRS2_OLD_VARNO);
  condition = expand_generated_columns_in_expr(condition, table, PRS2_NEW_VARNO);
#endif
  return condition;
}

inline void reserve_setting_prefix(const char* prefix) {
#if PG_VERSION_NUM >= 150000
  MarkGUCPrefixReserved(prefix);
#else
  EmitWarningsOnPlaceholders(prefix);
#endif
}

// For a function that returns a set: makes the tuplestore that fcinfo's ReturnSetInfo names.
inline void begin_result_set(FunctionCallInfo fcinfo) {
#if PG_VERSION_NUM >= 150000
  InitMaterializedSRF(fcinfo, 0);
#else
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result == nullptr || !IsA(result, ReturnSetInfo) || (result->allowedModes & SFRM_Materialize) == 0) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("set-valued function called in context that cannot accept a set")));
  }
  MemoryContext previous = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) elog(ERROR, "return type must be a row type");
  result->returnMode = SFRM_Materialize;
  result->setResult = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
  result->setDesc = descriptor;
  MemoryContextSwitchTo(previous);
#endif
}

// For a background worker that connects as a role of the user's choice: whether that role needs LOGIN, and the flags.
#if PG_VERSION_NUM >= 170000
inline constexpr bool kWorkersNeedLogin = false;
inline constexpr uint32 kConnectFlags = BGWORKER_BYPASS_ROLELOGINCHECK;
#else
inline constexpr bool kWorkersNeedLogin = true;
inline constexpr uint32 kConnectFlags = 0;
#endif

inline void set_session_role(Oid role) {
  SetSessionAuthorization(role, superuser_arg(role));
}

// Before a background worker connects: already the transaction in which it does so would be ended.
inline void pin_transaction_timeout() {
#if PG_VERSION_NUM >= 170000
  SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#endif
}

// An empty file in the place of the table's, from the end of the transaction on. Its indexes must be rebuilt.
inline void give_new_file(Relation table) {
#if PG_VERSION_NUM >= 160000
  RelationSetNewRelfilenumber(table, table->rd_rel->relpersistence);
#else
  RelationSetNewRelfilenode(table, table->rd_rel->relpersistence);
#endif
}

inline void rebuild_indexes(Oid table) {
  ReindexParams parameters{};
#if PG_VERSION_NUM >= 170000
  reindex_relation(nullptr, table, 0, &parameters);
#else
  reindex_relation(table, 0, &parameters);
#endif
}

}  // namespace cache_invalidate::pg
