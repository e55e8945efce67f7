#include "delivery/signals.hpp"

#include "pg/clock.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr int kLockTimeout = 100;  // milliseconds
volatile sig_atomic_t may_cancel = false;

// Undoes what is left of a transaction that failed, and says why.
void abandon(const ErrorData& error) {
  ereport(LOG, (errmsg("cache_invalidate: could not send messages, will try again: %s",
                       error.message == nullptr ? "unrecognized error" : error.message)));
  AbortCurrentTransaction();
  pgstat_report_activity(STATE_IDLE, nullptr);
}

}  // namespace

std::string render(const core::Message& message) {
  // The commit is visible, so its record lies before what is inserted next.
  const XLogRecPtr lsn = message.shape.format == core::Format::custom ? GetXLogInsertRecPtr() : 0;
  return core::render_payload(message, GetDatabaseEncoding() != PG_UTF8, lsn);
}

SignalTransaction::SignalTransaction() {
  StartTransactionCommand();
  pgstat_report_activity(STATE_RUNNING, "sending messages");
}

bool SignalTransaction::notify(const core::Message& message) {
  const char* channel = message.shape.has_channel ? pg::from_utf8_anyhow(message.shape.channel.c_str()) : settings::notify_channel;
  if (channel[0] == '\0') return false;
  // Async_Notify copies both. Kept outside this frame, over which an error of it would jump.
  static std::string* payload = new std::string();
  *payload = render(message);
  Async_Notify(channel, payload->c_str());
  return true;
}

void SignalTransaction::log_error(const std::string& table, const std::string& operation, const std::string& message,
                                  const std::string& context, std::int64_t time) {
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr) return;
  if (!spi_) {
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    spi_ = true;
  }
  const char* sql = psprintf(
      "INSERT INTO %s.trigger_error_log (table_name, operation, error_message, error_context, occurred_at) "
      "VALUES ($1, $2, $3, $4, $5)",
      quote_identifier(get_namespace_name(extension->schema)));
  Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
  const auto text_of = [](const std::string& text) { return CStringGetTextDatum(pg::from_utf8_anyhow(text.c_str())); };
  Datum values[] = {text_of(table), text_of(operation), text_of(message), text_of(context),
                    TimestampTzGetDatum(pg::server_time(time))};
  SPI_execute_with_args(sql, lengthof(types), types, values, nullptr, false, 0);
}

void SignalTransaction::commit() {
  if (spi_) {
    PopActiveSnapshot();
    SPI_finish();
  }
  CommitTransactionCommand();
  pgstat_report_activity(STATE_IDLE, nullptr);
}

void on_cancel_signal(SIGNAL_ARGS) {
  if (may_cancel) StatementCancelHandler(postgres_signal_arg);
}

bool run_signal_transaction(const std::function<void(SignalTransaction&)>& fill) {
  const MemoryContext context = CurrentMemoryContext;
  const int lock_timeout = LockTimeout;
  bool done = false;
  try {
    LockTimeout = kLockTimeout;
    may_cancel = true;
    pg::guarded([&] {
      SignalTransaction transaction;
      fill(transaction);
      transaction.commit();
    });
    done = true;
  } catch (const pg::PgError& error) {
    abandon(*error.data());
  }
  may_cancel = false;
  QueryCancelPending = false;
  LockTimeout = lock_timeout;
  MemoryContextSwitchTo(context);
  return done;
}

}  // namespace cache_invalidate::delivery
