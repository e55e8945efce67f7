#include "delivery/signals.hpp"

#include "pg/clock.hpp"
#include "pg/extension.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

const char* server_text(const std::string& utf8) {
  return pg_any_to_server(utf8.c_str(), static_cast<int>(utf8.size()), PG_UTF8);
}

}  // namespace

SignalTransaction::SignalTransaction() {
  StartTransactionCommand();
  pgstat_report_activity(STATE_RUNNING, "sending messages");
}

bool SignalTransaction::notify(const core::Message& message) {
  const char* channel = message.shape.has_channel ? server_text(message.shape.channel) : settings::notify_channel;
  if (channel[0] == '\0') return false;
  // Async_Notify copies both.
  Async_Notify(channel, core::render_payload(message, GetDatabaseEncoding() != PG_UTF8).c_str());
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
  Datum values[] = {CStringGetTextDatum(server_text(table)), CStringGetTextDatum(server_text(operation)),
                    CStringGetTextDatum(server_text(message)), CStringGetTextDatum(server_text(context)),
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

}  // namespace cache_invalidate::delivery
