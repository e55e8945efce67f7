// explain_cache_invalidation(): what a change would send and where to, found out by the code that the trigger runs,
// without sending.
//
// Each trigger notes the change in a change set of its own, which is written as the journal would have it and read
// again. The transaction's own change set is not touched, and no transaction id is taken.
#include <string>
#include <vector>

#include "admin/imagined_change.hpp"
#include "capture/foreign_lookup.hpp"
#include "capture/row_changes.hpp"
#include "capture/table_facts.hpp"
#include "capture/table_triggers.hpp"
#include "capture/vocabulary.hpp"
#include "core/expand.hpp"
#include "core/payload.hpp"
#include "delivery/target_catalog.hpp"
#include "pg/clock.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/privileges.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

// NUL-terminated: the names are literals.
const char* name_of(core::Operation operation) { return core::operation_name(operation).data(); }

core::Operation read_operation(const char* name) {
  for (const core::Operation operation :
       {core::Operation::insert, core::Operation::update, core::Operation::remove, core::Operation::truncate}) {
    if (pg_strcasecmp(name, name_of(operation)) == 0) return operation;
  }
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid operation: \"%s\"", name),
                  errhint("The operation is INSERT, UPDATE, DELETE or TRUNCATE.")));
}

struct Request {
  Oid table;
  core::Operation operation;
  Jsonb* before;
  Jsonb* after;
};

// A row that the operation has must be given, and no other.
Jsonb* read_row(FunctionCallInfo fcinfo, int argument, core::Operation operation, bool has_it) {
  const char* name = argument == 2 ? "old" : "new";
  const bool is_given = !PG_ARGISNULL(argument);
  if (!has_it && !is_given) return nullptr;
  if (!has_it) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s has no %s row", name_of(operation), name),
                    errhint("Leave the argument \"%s\" out.", name)));
  }
  Jsonb* row = is_given ? PG_GETARG_JSONB_P(argument) : nullptr;
  if (row != nullptr && JB_ROOT_IS_OBJECT(row)) return row;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s needs the %s row, as a JSON object", name_of(operation), name),
                  errdetail("The members are the row's columns. What is missing is NULL."),
                  errhint("Write for example %s => '{\"id\": 1}', or %s => to_jsonb(row).", name, name)));
}

Request read_arguments(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("table and operation must not be null")));
  }
  Request request{};
  request.table = PG_GETARG_OID(0);
  request.operation = read_operation(text_to_cstring(PG_GETARG_TEXT_PP(1)));
  const core::Operation operation = request.operation;
  request.before = read_row(fcinfo, 2, operation, operation == core::Operation::update || operation == core::Operation::remove);
  request.after = read_row(fcinfo, 3, operation, operation == core::Operation::update || operation == core::Operation::insert);
  return request;
}

// The lock is kept until the transaction ends. Whose table it is not learns nothing of it, and does not even wait for it.
Relation open_own_table(Oid table) {
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table))) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", table)));
  }
  if (!pg::owns_relation(table, GetUserId())) {
    aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(table)), get_rel_name(table));
  }
  return relation_open(table, AccessShareLock);
}

// One row of the result. nullptr is NULL. Item and channel are UTF-8.
struct Line {
  const char* kind;
  const std::string* item;
  const std::string* server = nullptr;
  const std::string* channel = nullptr;
};

class Output {
 public:
  Output(FunctionCallInfo fcinfo, const Trigger& trigger)
      : result_(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo)), trigger_(trigger) {}

  // Never jumps.
  void put(const Line& line) {
    ++lines_;
    pg::guarded([&] { store(line); });
  }
  int lines() const { return lines_; }

 private:
  static Datum text_of(const std::string& text) { return PointerGetDatum(cstring_to_text(pg::from_utf8_anyhow(text.c_str()))); }
  static Datum name_of(const char* name) { return DirectFunctionCall1(namein, CStringGetDatum(name)); }
  void store(const Line& line) {
    Datum values[5] = {name_of(trigger_.tgname), CStringGetTextDatum(line.kind), text_of(*line.item)};
    bool nulls[5] = {false, false, false, line.server == nullptr, line.channel == nullptr};
    if (line.server != nullptr) values[3] = name_of(line.server->c_str());
    if (line.channel != nullptr) values[4] = text_of(*line.channel);
    tuplestore_putvalues(result_->setResult, result_->setDesc, values, nulls);
  }

  ReturnSetInfo* result_;
  const Trigger& trigger_;
  int lines_ = 0;
};

struct Server {
  std::string name;
  bool delivers = false;
  std::string key_prefix;
};

Server read_server(Oid oid) {
  Server server;
  std::vector<delivery::OptionText> texts;
  pg::guarded([&] {
    const ForeignServer* found = GetForeignServerExtended(oid, FSV_MISSING_OK);
    if (found == nullptr) return;
    server.name = found->servername;
    server.delivers = true;
    delivery::copy_options(found->options, texts);
  });
  const core::Result<delivery::TargetOptions> options = delivery::parse_server_options(texts);
  if (!options.ok()) return server;
  server.delivers = server.delivers && options.value().enabled;
  server.key_prefix = options.value().key_prefix;
  return server;
}

// A row for each server that gets it, in the words in which it gets it; one without a server if none does.
void put_key(const core::BatchReader::Item& found, Output& out) {
  const bool is_pattern = found.kind == core::BatchReader::Kind::pattern;
  const char* kind = is_pattern ? "pattern" : "key";
  bool arrives = false;
  std::string item;
  for (const std::uint32_t oid : found.scope->servers) {
    const Server server = read_server(oid);
    if (!server.delivers) continue;
    item.clear();
    if (is_pattern) {
      core::append_glob_literal(item, server.key_prefix);
    } else {
      item = server.key_prefix;
    }
    item += found.bytes;
    out.put({kind, &item, &server.name});
    arrives = true;
  }
  item = found.bytes;
  if (!arrives) out.put({kind, &item});
}

void put_message(const core::BatchReader::Item& found, const core::BatchHeader& origin, Output& out) {
  core::Message message;
  message.shape = *found.shape;
  message.operation = found.operation;
  message.id = found.id;
  message.fields = found.fields;
  message.origin = origin;
  const std::uint64_t position = RecoveryInProgress() ? 0 : GetXLogInsertRecPtr();
  const std::string text = core::render_payload(message, GetDatabaseEncoding() != PG_UTF8, position);
  const std::string channel = found.shape->has_channel ? found.shape->channel : std::string(pg::to_utf8_anyhow(settings::notify_channel));
  out.put({"message", &text, nullptr, channel.empty() ? nullptr : &channel});
}

void put_items(std::string_view chunk, Output& out) {
  core::Result<core::BatchReader> reader = core::BatchReader::open(chunk);
  if (!reader.ok()) throw pg::ReportedError(reader.error());
  core::BatchReader::Item item;
  while (reader.value().next(item)) {
    switch (item.kind) {
      case core::BatchReader::Kind::key:
      case core::BatchReader::Kind::pattern:
        put_key(item, out);
        break;
      case core::BatchReader::Kind::message:
        put_message(item, reader.value().header(), out);
        break;
      case core::BatchReader::Kind::error: {
        const std::string text(item.error.message);
        out.put({"error", &text});
        break;
      }
      default:
        break;
    }
  }
}

// The caller chooses the rows that are looked up: he must be allowed to read what he is told of them.
void require_paths(const capture::CompiledRule& rule) {
  for (const capture::InputReader& reader : rule.readers) {
    if (!reader.path) continue;
    for (const capture::ForeignHop& hop : reader.path->hops) {
      for (const std::size_t i : hop.wanted) capture::require_select(hop.step->table, hop.step->columns[i].number);
    }
  }
}

// What the trigger makes of the change.
void put_trigger(const ImaginedChange& change, const Trigger& trigger, Output& out) {
  core::ChangeSet changes;
  core::Vocabulary vocabulary;
  std::uint64_t xid = 0;
  pg::guarded([&] {
    const capture::CompiledRule& rule = capture::find_rule(change.table, trigger);
    if (change.operation == core::Operation::truncate) {
      capture::note_table(rule, change.operation, changes, 1);
    } else {
      require_paths(rule);
      capture::note_row(rule, {change.operation, change.before, change.after}, changes, 1);
    }
    const core::Vocabulary* resolved = capture::resolved_vocabulary();
    if (resolved != nullptr) vocabulary = *resolved;
    xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
  });
  // The writer leaves out what no server gets; here it shall show.
  for (core::Scope& scope : vocabulary.scopes) {
    if (scope.servers.empty()) scope.servers.push_back(InvalidOid);
  }
  core::BatchWriter writer;
  writer.begin({xid, pg::unix_microseconds(GetCurrentTimestamp())}, vocabulary);
  changes.write(writer, 0);
  std::size_t start = 0;
  for (const std::size_t end : writer.chunk_ends()) {
    put_items(std::string_view(writer.bytes()).substr(start, end - start), out);
    start = end;
  }
}

void explain_triggers(FunctionCallInfo fcinfo, const ImaginedChange& change, const capture::TableTriggers& triggers) {
  bool any = false;
  for (const Trigger& trigger : triggers) {
    if (!capture::is_for(trigger, change.operation)) continue;
    any = true;
    if (const char* reason = why_silent(change, trigger)) {
      ereport(NOTICE, (errmsg("trigger \"%s\" does not fire", trigger.tgname), errdetail("%s", reason)));
      continue;
    }
    Output out(fcinfo, trigger);
    put_trigger(change, trigger, out);
    if (out.lines() > 0) continue;
    ereport(NOTICE, (errmsg("trigger \"%s\" sends nothing for this change", trigger.tgname),
                     errdetail("No column that counts differs, or every key has a NULL in it.")));
  }
  if (any) return;
  ereport(NOTICE, (errmsg("no trigger of \"%s\" that calls notify_cache_invalidation() is for %s",
                          RelationGetRelationName(change.table), name_of(change.operation))));
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(explain) {
  const Request request = read_arguments(fcinfo);
  pg::begin_result_set(fcinfo);
  Relation table = open_own_table(request.table);
  const capture::TableTriggers triggers = capture::copy_our_triggers(table);
  if (triggers.count == 0) {
    ereport(NOTICE, (errmsg("\"%s\" has no trigger that calls notify_cache_invalidation()", RelationGetRelationName(table))));
  } else if (!settings::enabled) {
    ereport(NOTICE, (errmsg("nothing is captured in this session"), errdetail("The setting \"cache_invalidate.enabled\" is off.")));
  } else {
    ImaginedChange change{table, request.operation};
    if (request.before != nullptr) change.before = make_row(table, request.before);
    if (request.after != nullptr) change.after = make_row(table, request.after);
    explain_triggers(fcinfo, change, triggers);
    // What was looked up for an imagined row shall not be what a trigger finds later.
    capture::forget_found();
    if (change.before != nullptr) ExecDropSingleTupleTableSlot(change.before);
    if (change.after != nullptr) ExecDropSingleTupleTableSlot(change.after);
  }
  relation_close(table, NoLock);
  return Datum(0);
}

}  // namespace cache_invalidate::admin
