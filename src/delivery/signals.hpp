// What leaves the worker through the database itself: NOTIFY, and rows of trigger_error_log.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/payload.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// The text of a message as of now.
std::string render(const core::Message& message);

// One transaction of the worker. Every call may raise an error; only run_signal_transaction() makes one.
class SignalTransaction {
 public:
  SignalTransaction();
  SignalTransaction(const SignalTransaction&) = delete;
  SignalTransaction& operator=(const SignalTransaction&) = delete;

  // False: the message's channel is switched off.
  bool notify(const core::Message& message);
  // Texts in UTF-8, `time` in microseconds since 1970.
  void log_error(const std::string& table, const std::string& operation, const std::string& message,
                 const std::string& context, std::int64_t time);
  void commit();

 private:
  bool spi_ = false;
};

// The worker's handler of SIGINT. The server uses that signal to end a wait for a lock; otherwise there is nothing to
// cancel in a worker.
void on_cancel_signal(SIGNAL_ARGS);

// Runs `fill` in a transaction and commits it. It waits for locks only a moment, since the deletes wait with it.
// False: it failed and was rolled back; the reason is in the server log.
bool run_signal_transaction(const std::function<void(SignalTransaction&)>& fill);

}  // namespace cache_invalidate::delivery
