#include "delivery/ddl_watch.hpp"

#include "delivery/listeners.hpp"
#include "journal/shared.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/privileges.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kLongestWait = 10 * 1000000L;

object_access_hook_type previous_object_access = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;

// What the current transaction did. A savepoint that is rolled back leaves it: one wake-up too many.
bool catalog_changed = false;
bool installed = false;
bool databases_changed = false;
Oid held_database = InvalidOid;

void release_hold() {
  if (!OidIsValid(held_database)) return;
  journal::SharedState* shared = journal::shared_state();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  journal::DatabaseSlot* slot = journal::find_slot(held_database);
  if (slot != nullptr && slot->holds > 0) --slot->holds;
  LWLockRelease(shared->lock);
  held_database = InvalidOid;
  journal::wake_launcher();
}

void tell_worker() {
  journal::DatabaseSlot* slot = journal::find_slot(MyDatabaseId);
  if (slot == nullptr) return;
  pg_atomic_write_u32(&slot->catalog_changed, 1);
  journal::wake_worker(*slot);
}

void on_transaction(XactEvent event, void* /*argument*/) {
  switch (event) {
    case XACT_EVENT_COMMIT:
      release_hold();  // the rest is told when others can see it: on_release()
      return;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:  // COMMIT PREPARED tells the worker, the launcher's level check finds the rest
      break;
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
      return;
  }
  release_hold();
  catalog_changed = installed = databases_changed = false;
}

// Others must have been sent the invalidations before they are told to look: the server does that after the
// commit callbacks, and before it releases the locks.
void on_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void* /*argument*/) {
  if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_commit || !is_top_level) return;
  if (installed) journal::request_probe(MyDatabaseId);
  if (catalog_changed || installed) tell_worker();
  if (databases_changed) journal::wake_launcher();
  catalog_changed = installed = databases_changed = false;
}

void on_object_access(ObjectAccessType access, Oid catalog, Oid object, int sub, void* argument) {
  if (previous_object_access != nullptr) previous_object_access(access, catalog, object, sub, argument);
  if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP) return;
  if (catalog == ForeignServerRelationId || catalog == UserMappingRelationId || catalog == ExtensionRelationId) {
    catalog_changed = true;
  }
  if (catalog == DatabaseRelationId) databases_changed = true;
}

// The database that the statement needs for itself, or nullptr.
const char* needed_database(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_DropdbStmt:
      return reinterpret_cast<const DropdbStmt*>(statement)->dbname;
    case T_RenameStmt: {
      const auto* rename = reinterpret_cast<const RenameStmt*>(statement);
      return rename->renameType == OBJECT_DATABASE ? rename->subname : nullptr;
    }
    case T_CreatedbStmt:
    case T_AlterDatabaseStmt: {
      const bool creates = IsA(statement, CreatedbStmt);
      List* options = creates ? reinterpret_cast<const CreatedbStmt*>(statement)->options
                              : reinterpret_cast<const AlterDatabaseStmt*>(statement)->options;
      ListCell* cell;
      foreach (cell, options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        if (creates && strcmp(option->defname, "template") == 0 && option->arg != nullptr) return defGetString(option);
        if (!creates && strcmp(option->defname, "tablespace") == 0) {
          return reinterpret_cast<const AlterDatabaseStmt*>(statement)->dbname;
        }
      }
      return nullptr;
    }
    default:
      return nullptr;
  }
}

// A worker that has left its slot may still be seen among the processes of the database, and one that was just
// started has not entered yet.
bool is_in_use(const journal::DatabaseSlot& slot, Oid database, int last_pid) {
  if (slot.database == database && (slot.worker_pid != 0 || slot.state == journal::WorkerState::starting)) return true;
  return last_pid != 0 && BackendPidGetProc(last_pid) != nullptr;
}

// `last_pid`: the worker that was there before it was woken, and may have left its slot since.
void wait_for_leave(const journal::DatabaseSlot& slot, Oid database, int last_pid) {
  journal::SharedState* shared = journal::shared_state();
  const TimestampTz end = GetCurrentTimestamp() + kLongestWait;
  ConditionVariablePrepareToSleep(&shared->worker_changed);
  while (GetCurrentTimestamp() < end) {
    const int pid = slot.worker_pid;
    if (pid != 0 && slot.database == database) last_pid = pid;
    if (!is_in_use(slot, database, last_pid)) break;
    ConditionVariableTimedSleep(&shared->worker_changed, pid != 0 ? 100 : 5, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
}

void hold_worker(const char* database_name) {
  journal::SharedState* shared = journal::shared_state();
  const Oid database = get_database_oid(database_name, true);
  if (!OidIsValid(database) || OidIsValid(held_database)) return;
  // The statement will be refused to anybody else; the worker must not leave for that.
  if (!pg::owns_database(database, GetUserId())) return;
  int last_pid = 0;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  journal::DatabaseSlot* slot = journal::find_slot(database);
  if (slot != nullptr) {
    ++slot->holds;
    held_database = database;
    last_pid = slot->worker_pid;
  }
  LWLockRelease(shared->lock);
  if (slot == nullptr) return;
  journal::wake_worker(*slot);
  wait_for_leave(*slot, database, last_pid);
}

bool names(const List* objects, const char* name) {
  ListCell* cell;
  foreach (cell, objects) {
    if (strcmp(strVal(lfirst(cell)), name) == 0) return true;
  }
  return false;
}

// The user drops what belongs to a role of which one is the extension's or its schema's owner.
bool drops_owned(const DropOwnedStmt* drop, const pg::Extension& extension) {
  ListCell* cell;
  foreach (cell, drop->roles) {
    const Oid role = get_rolespec_oid(static_cast<RoleSpec*>(lfirst(cell)), true);
    if (!OidIsValid(role) || !has_privs_of_role(GetUserId(), role)) return false;
    if (role == extension.owner || pg::owns_schema(extension.schema, role)) return true;
  }
  return false;
}

// The statement drops the extension with what depends on it, and the user may do that.
bool drops_extension(const Node* statement, const pg::Extension& extension) {
  if (IsA(statement, DropOwnedStmt)) {
    const auto* drop = reinterpret_cast<const DropOwnedStmt*>(statement);
    return drop->behavior == DROP_CASCADE && drops_owned(drop, extension);
  }
  if (!IsA(statement, DropStmt)) return false;
  const auto* drop = reinterpret_cast<const DropStmt*>(statement);
  if (drop->behavior != DROP_CASCADE) return false;
  if (drop->removeType == OBJECT_EXTENSION) {
    return names(drop->objects, "cache_invalidate") && has_privs_of_role(GetUserId(), extension.owner);
  }
  if (drop->removeType != OBJECT_SCHEMA) return false;
  const char* schema = get_namespace_name(extension.schema);
  return schema != nullptr && names(drop->objects, schema) && pg::owns_schema(extension.schema, GetUserId());
}

bool may_drop_extension(const Node* statement) { return IsA(statement, DropStmt) || IsA(statement, DropOwnedStmt); }

// Dropping the extension would lock the journal first and then the tables whose triggers it drops, while a
// writer has locked its table and comes for the journal: it waits for the tables first.
void lock_covered_tables(const Node* statement) {
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr || !drops_extension(statement, *extension)) return;
  List* tables = NIL;
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    if (pg::is_trigger_function(row->tgfoid)) tables = list_append_unique_oid(tables, row->tgrelid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  list_sort(tables, list_oid_cmp);
  ListCell* cell;
  foreach (cell, tables) LockRelationOid(lfirst_oid(cell), AccessExclusiveLock);
}

bool is_commit_prepared(const Node* statement) {
  return IsA(statement, TransactionStmt) &&
         reinterpret_cast<const TransactionStmt*>(statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

void on_utility(PlannedStmt* planned, const char* text, bool read_only_tree, ProcessUtilityContext context,
                ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* receiver,
                QueryCompletion* completion) {
  const Node* statement = planned->utilityStmt;
  const bool wakes = is_commit_prepared(statement);
  if (journal::shared_state() != nullptr && !RecoveryInProgress()) {
    const char* database = needed_database(statement);
    if (database != nullptr && IsTransactionState()) hold_worker(database);
  }
  if (may_drop_extension(statement) && IsTransactionState()) lock_covered_tables(statement);
  note_listening(statement);
  const ProcessUtility_hook_type next = previous_utility != nullptr ? previous_utility : standard_ProcessUtility;
  if (OidIsValid(held_database)) {
    // Released at once if the statement fails, else at the transaction's end.
    try {
      pg::guarded([&] { next(planned, text, read_only_tree, context, parameters, environment, receiver, completion); });
    } catch (...) {
      release_hold();
      throw;
    }
  } else {
    next(planned, text, read_only_tree, context, parameters, environment, receiver, completion);
  }
  if (wakes) tell_worker();
}

}  // namespace

void note_catalog_change() { catalog_changed = true; }
void note_installation() { installed = true; }

void watch_ddl() {
  RegisterXactCallback(pg::Entry<&on_transaction>::call, nullptr);
  RegisterResourceReleaseCallback(pg::Entry<&on_release>::call, nullptr);
  previous_object_access = object_access_hook;
  object_access_hook = pg::Entry<&on_object_access>::call;
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = pg::Entry<&on_utility>::call;
}

}  // namespace cache_invalidate::delivery
