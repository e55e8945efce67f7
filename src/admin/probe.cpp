// test_cache_invalidation(): sends a marked change through the whole path and reports what arrived.
//
// What a function does is seen by nobody before its transaction commits, so a short-lived background worker
// makes the change in a transaction of its own: capture, journal, ring, worker, targets. The function waits
// for the worker's acknowledgements on the board.
#include <random>
#include <string>

#include "capture/transaction.hpp"
#include "capture/vocabulary.hpp"
#include "core/json.hpp"
#include "journal/board.hpp"
#include "pg/background.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

constexpr TimestampTz kLongestWait = 10 * 1000000L;
constexpr TimestampTz kLongestStart = 5 * 1000000L;
constexpr const char* kKeyPrefix = "cache_invalidate:test:";
constexpr const char* kKeyGlob = "cache_invalidate:test:*";

// What the background worker is told; it must fit bgw_extra.
struct Order {
  std::uint64_t id;
  Oid table;
  bool has_user;
  pg_uuid_t user;
};
static_assert(sizeof(Order) <= BGW_EXTRALEN, "an order travels in bgw_extra");

struct Answer {
  bool delivered = false;  // everywhere
  journal::ProbeStatus status;
};

std::string uuid_text(const pg_uuid_t& uuid) {
  char text[40];
  const unsigned char* d = uuid.data;
  snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0], d[1], d[2], d[3],
           d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
  return text;
}

// Reserves a place on the board, with the servers that shall answer. nullptr: all places are in use.
journal::ProbeStatus* reserve(journal::Board& board, std::uint64_t id, const std::vector<std::uint32_t>& servers) {
  const TimestampTz now = GetCurrentTimestamp();
  journal::ProbeStatus* found = nullptr;
  SpinLockAcquire(&board.lock);
  for (journal::ProbeStatus& probe : board.probe) {
    // One that was left behind by a session that was ended is free again.
    if (probe.id == 0 || probe.reserved < now - 2 * kLongestWait) {
      memset(&probe, 0, sizeof probe);
      probe.id = id;
      probe.reserved = now;
      for (std::size_t i = 0; i < servers.size() && i < journal::kMaxTargets; ++i) probe.target[i].server = servers[i];
      found = &probe;
      break;
    }
  }
  SpinLockRelease(&board.lock);
  return found;
}

bool is_complete(const journal::ProbeStatus& probe) {
  for (const auto& target : probe.target) {
    if (OidIsValid(target.server) && target.acknowledged == 0) return false;
  }
  return probe.notified != 0;
}

// None of the servers that have not answered is one that will.
bool is_hopeless(journal::Board& board, const journal::ProbeStatus& probe) {
  const auto is_disabled = [&board](Oid server) {
    for (const journal::TargetStatus& status : board.target) {
      if (status.server == server) return status.state == journal::TargetState::disabled;
    }
    return false;
  };
  for (const auto& target : probe.target) {
    if (OidIsValid(target.server) && target.acknowledged == 0 && !is_disabled(target.server)) return false;
  }
  return probe.notified != 0;
}

// Waits for all answers or the time's end, and frees the place.
void await(journal::Board& board, std::uint64_t id, Answer& answer) {
  const TimestampTz end = GetCurrentTimestamp() + kLongestWait;
  ConditionVariablePrepareToSleep(&board.probes_changed);
  while (true) {
    SpinLockAcquire(&board.lock);
    for (const journal::ProbeStatus& probe : board.probe) {
      if (probe.id == id) answer.status = probe;
    }
    SpinLockRelease(&board.lock);
    answer.delivered = is_complete(answer.status);
    if (answer.delivered || is_hopeless(board, answer.status) || GetCurrentTimestamp() >= end) break;
    ConditionVariableTimedSleep(&board.probes_changed, 100, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  SpinLockAcquire(&board.lock);
  for (journal::ProbeStatus& probe : board.probe) {
    if (probe.id == id) probe.id = 0;
  }
  SpinLockRelease(&board.lock);
}

bool start_sender(const Order& order) {
  BackgroundWorker definition = pg::describe_worker("cache_invalidate_test_worker_main", "cache_invalidate test");
  definition.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
  memcpy(definition.bgw_extra, &order, sizeof order);
  BackgroundWorkerHandle* handle;
  return RegisterDynamicBackgroundWorker(&definition, &handle);
}

void append_target(std::string& out, const std::string& name, TimestampTz committed, TimestampTz arrived, const char* problem) {
  out += out.back() == '[' ? "{\"target\":" : ",{\"target\":";
  core::append_json_string(out, name);
  out += arrived != 0 ? ",\"success\":true,\"milliseconds\":" : ",\"success\":false,\"milliseconds\":";
  char text[32] = "null";
  if (arrived != 0) snprintf(text, sizeof text, "%.3f", static_cast<double>(arrived - committed) / 1000.0);
  out += text;
  out += ",\"problem\":";
  if (problem[0] == '\0') {
    out += "null";
  } else {
    core::append_json_string(out, problem);
  }
  out += '}';
}

void append_targets(std::string& out, journal::Board& board, const Answer& answer) {
  for (const auto& target : answer.status.target) {
    if (!OidIsValid(target.server)) continue;
    const char* problem = "";
    for (const journal::TargetStatus& status : board.target) {
      if (status.server == target.server && target.acknowledged == 0) problem = status.problem;
    }
    if (target.acknowledged == 0 && problem[0] == '\0') problem = "no acknowledgement within 10 s";
    const ForeignServer* server = GetForeignServerExtended(target.server, FSV_MISSING_OK);
    append_target(out, server == nullptr ? "?" : pg::to_utf8_anyhow(server->servername), answer.status.committed, target.acknowledged, problem);
  }
  append_target(out, "NOTIFY", answer.status.committed, answer.status.notified,
                answer.status.notified == 0 ? "not sent within 10 s" : "");
}

// The answer, in UTF-8; `targets` is what stands between the brackets.
std::string report(bool success, const std::string& message, const char* table, const std::string& user, const std::string& targets) {
  std::string out = success ? "{\"success\":true,\"message\":" : "{\"success\":false,\"message\":";
  core::append_json_string(out, message);
  out += ",\"table\":";
  core::append_json_string(out, pg::to_utf8_anyhow(table));
  out += ",\"user_id\":";
  if (user.empty()) {
    out += "null";
  } else {
    core::append_json_string(out, user);
  }
  out += ",\"targets\":" + (targets.empty() ? std::string("[]") : targets) + "}";
  return out;
}

// The table's oid; InvalidOid: `problem` says why it can't be tested.
Oid find_table(const char* name, std::string& problem) {
  Oid table = InvalidOid;
  try {
    pg::guarded([&] {
      List* names = textToQualifiedNameList(cstring_to_text(name));
      table = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
    });
  } catch (const pg::PgError&) {
    // Not a name at all, or of another database.
  }
  if (!OidIsValid(table)) {
    problem = std::string("table \"") + pg::to_utf8_anyhow(name) + "\" does not exist";
    return InvalidOid;
  }
  Relation relation = relation_open(table, AccessShareLock);
  bool has_trigger = false;
  for (int i = 0; relation->trigdesc != nullptr && i < relation->trigdesc->numtriggers; ++i) {
    const Trigger& trigger = relation->trigdesc->triggers[i];
    if (trigger.tgenabled != TRIGGER_DISABLED && pg::is_trigger_function(trigger.tgfoid)) has_trigger = true;
  }
  relation_close(relation, AccessShareLock);
  if (has_trigger) return table;
  problem = std::string("table \"") + pg::to_utf8_anyhow(name) + "\" has no enabled trigger that calls notify_cache_invalidation()";
  return InvalidOid;
}

Oid owner_of(Oid table) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple)) return InvalidOid;
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

bool has_worker() {
  const journal::DatabaseSlot* slot = journal::find_slot(MyDatabaseId);
  return slot != nullptr && slot->worker_pid != 0 && journal::attach_board() != nullptr;
}

// The worker starts a moment after CREATE EXTENSION was committed, and who asks then wants to know of the delivery.
bool await_worker() {
  const TimestampTz end = GetCurrentTimestamp() + kLongestStart;
  while (!has_worker()) {
    if (GetCurrentTimestamp() >= end) return false;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
  return true;
}

// What is wrong with a trigger of the table, with the cure; nullptr: nothing. In memory of the caller's context. Looked up as
// the extension's owner: who is granted the test needs no right on the views.
const char* trigger_problem(const pg::Extension& extension, Oid table) {
  const char* sql = psprintf(
      "SELECT pg_catalog.concat_ws('. ', t.problem, t.cure) FROM %s.cache_invalidation_triggers t "
      "JOIN pg_catalog.pg_trigger g ON g.oid OPERATOR(pg_catalog.=) t.trigger "
      "WHERE g.tgrelid OPERATOR(pg_catalog.=) $1 AND t.problem IS NOT NULL AND t.is_enabled LIMIT 1",
      pg::quoted_schema(extension));
  Oid types[] = {OIDOID};
  Datum values[] = {ObjectIdGetDatum(table)};
  MemoryContext caller = CurrentMemoryContext;
  Oid user;
  int security;
  GetUserIdAndSecContext(&user, &security);
  SetUserIdAndSecContext(extension.owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
  SPI_connect();
  SPI_execute_with_args(sql, 1, types, values, nullptr, true, 1);
  const char* problem = nullptr;
  if (SPI_processed > 0) {
    const char* text = pg::to_utf8_anyhow(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
    problem = MemoryContextStrdup(caller, text);
  }
  SPI_finish();
  SetUserIdAndSecContext(user, security);
  return problem;
}

// Why the test can't even begin; nullptr: it can.
const char* obstacle(const pg::Extension* extension) {
  if (extension == nullptr) return "extension cache_invalidate is not installed in this database";
  if (journal::shared_state() == nullptr) {
    return "cache_invalidate is not in shared_preload_libraries: add it and restart the server";
  }
  if (RecoveryInProgress()) return "this server is a standby: nothing is delivered before it is promoted";
  if (!await_worker()) return "the worker of this database is not running: see the server log, and max_worker_processes";
  return nullptr;
}

std::string run_test(const char* table_name, const pg_uuid_t* user) {
  const std::string user_text = user == nullptr ? "" : uuid_text(*user);
  const pg::Extension* extension = pg::extension();
  if (const char* reason = obstacle(extension)) return report(false, reason, table_name, user_text, "");
  journal::Board* board = journal::attach_board();
  if (board == nullptr) return report(false, "the worker of this database has ended: try again", table_name, user_text, "");
  std::string problem;
  Order order{};
  order.table = find_table(table_name, problem);
  if (!OidIsValid(order.table)) return report(false, problem, table_name, user_text, "");
  order.id = std::random_device{}() | static_cast<std::uint64_t>(std::random_device{}()) << 32 | 1;
  order.has_user = user != nullptr;
  if (user != nullptr) order.user = *user;
  const std::uint32_t scope = capture::scope_number(owner_of(order.table), {}, kKeyGlob);
  std::vector<std::uint32_t> servers;
  pg::guarded([&] {
    const core::Vocabulary* vocabulary = capture::resolved_vocabulary();
    if (vocabulary != nullptr) servers = vocabulary->scopes[scope].servers;
  });
  if (reserve(*board, order.id, servers) == nullptr) {
    return report(false, "too many tests are running at once: try again", table_name, user_text, "");
  }
  Answer answer{};
  if (!start_sender(order)) {
    return report(false, "no free slot for the background worker that makes the test change: raise max_worker_processes",
                  table_name, user_text, "");
  }
  await(*board, order.id, answer);
  std::string targets = "[";
  append_targets(targets, *board, answer);
  targets += ']';
  if (!answer.delivered) return report(false, "the test change did not reach every target", table_name, user_text, targets);
  // The way is free, but the table's own changes may not take it.
  const char* reason = nullptr;
  pg::guarded([&] {
    const pg::Extension* now = pg::extension();
    if (now != nullptr) reason = trigger_problem(*now, order.table);
  });
  if (reason != nullptr) {
    return report(false, std::string("the test change reached every target, but a trigger of the table has a problem: ") + reason, table_name,
                  user_text, targets);
  }
  return report(true, "the test change reached every target", table_name, user_text, targets);
}

// What ALTER DATABASE or ALTER ROLE may have set and would keep the test from ending.
void pin_sender_settings() {
  const char* const pins[][2] = {
      {"default_transaction_isolation", "read committed"},
      {"default_transaction_read_only", "off"},
      {"lock_timeout", "0"},
      {"synchronous_commit", "local"},  // a standby's answer is not what is tested
  };
  for (const auto& pin : pins) SetConfigOption(pin[0], pin[1], PGC_SUSET, PGC_S_OVERRIDE);
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(test) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const char* table = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const pg_uuid_t* user = PG_ARGISNULL(1) ? nullptr : PG_GETARG_UUID_P(1);
  const char* result;
  {
    // What is on the stack in there is lost if the server raises an error: a few bytes, in a rare case.
    const std::string text = run_test(table, user);
    auto* copy = static_cast<char*>(palloc(text.size() + 1));
    memcpy(copy, text.c_str(), text.size() + 1);
    result = copy;
  }
  PG_RETURN_TEXT_P(cstring_to_text(pg::from_utf8_anyhow(result)));
}

// The transaction that is tested: one key for every server of the table's owner, one message.
CACHE_INVALIDATE_WORKER_MAIN(test_worker_main) {
  // Not the default handler, which would end us in the middle of a commit.
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  pg::pin_transaction_timeout();
  BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(argument), InvalidOid, 0);
  pin_sender_settings();
  Order order;
  memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof order);
  StartTransactionCommand();
  const char* table = get_rel_name(order.table);
  if (table != nullptr) {
    const Oid owner = owner_of(order.table);
    const std::uint32_t scope = capture::scope_number(owner, {}, kKeyGlob);
    const std::string id = std::to_string(order.id);
    core::Shape shape;
    shape.name = pg::to_utf8_anyhow(table);
    std::string fields;
    if (order.has_user) fields = "\"user_id\":\"" + uuid_text(order.user) + "\"";
    std::string probe;
    core::put_fixed64(probe, order.id);
    capture::changes().add_key(scope, kKeyPrefix + id, 1);
    capture::changes().add_change(capture::shape_number(shape, order.table, owner, {}), id, core::Operation::test, fields, 1);
    capture::changes().add_probe(probe, 1);
  }
  CommitTransactionCommand();
}

}  // namespace cache_invalidate::admin
