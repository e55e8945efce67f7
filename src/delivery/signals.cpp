#include "delivery/signals.hpp"

#include "delivery/presence.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr int kLockTimeout = 100;  // milliseconds
volatile sig_atomic_t may_cancel = false;

}  // namespace

const char* channel_of(const core::Shape& shape) {
  return shape.has_channel ? pg::from_utf8_anyhow(shape.channel.c_str()) : settings::notify_channel;
}

std::string render(const core::Message& message) {
  // The commit is visible, so its record lies before what is inserted next.
  const XLogRecPtr lsn = message.shape.format == core::Format::custom ? GetXLogInsertRecPtr() : 0;
  return core::render_payload(message, GetDatabaseEncoding() != PG_UTF8, lsn);
}

SignalTransaction::SignalTransaction(const char* activity) {
  StartTransactionCommand();
  pgstat_report_activity(STATE_RUNNING, activity);
}

bool SignalTransaction::notify(const core::Message& message) {
  const char* channel = channel_of(message.shape);
  if (channel[0] == '\0') return false;
  // Async_Notify copies both. Kept outside this frame, over which an error of it would jump.
  static std::string* payload = new std::string();
  *payload = render(message);
  Async_Notify(channel, payload->c_str());
  return true;
}

void SignalTransaction::commit() {
  CommitTransactionCommand();
  report_presence();
}

void on_cancel_signal(SIGNAL_ARGS) {
  if (may_cancel) StatementCancelHandler(postgres_signal_arg);
}

bool run_signal_transaction(const char* activity, std::string* problem, const std::function<void(SignalTransaction&)>& fill) {
  const MemoryContext context = CurrentMemoryContext;
  const int lock_timeout = LockTimeout;
  bool done = false;
  try {
    LockTimeout = kLockTimeout;
    may_cancel = true;
    pg::guarded([&] {
      SignalTransaction transaction(activity);
      fill(transaction);
      transaction.commit();
    });
    done = true;
  } catch (const pg::PgError& error) {
    *problem = error.data()->message == nullptr ? "unrecognized error" : error.data()->message;
    AbortCurrentTransaction();
    report_presence();
  }
  may_cancel = false;
  QueryCancelPending = false;
  LockTimeout = lock_timeout;
  MemoryContextSwitchTo(context);
  // Only then autovacuum hears of rows that are dead.
  pgstat_report_stat(false);
  return done;
}

}  // namespace cache_invalidate::delivery
