// What leaves the worker through the database itself: the transactions of NOTIFY and of trigger_error_log.
#pragma once

#include <functional>
#include <string>

#include "core/payload.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// The channel of NOTIFY for messages of this shape; empty: it is switched off. Valid until settings or the shape change, or
// the memory context is reset.
const char* channel_of(const core::Shape& shape);

// The text of a message as of now.
std::string render(const core::Message& message);

// One transaction of the worker. Every call may raise an error; only run_signal_transaction() makes one.
class SignalTransaction {
 public:
  explicit SignalTransaction(const char* activity);
  SignalTransaction(const SignalTransaction&) = delete;
  SignalTransaction& operator=(const SignalTransaction&) = delete;

  // False: the message's channel is switched off.
  bool notify(const core::Message& message);
  void commit();
};

// The worker's handler of SIGINT. The server uses that signal to end a wait for a lock; otherwise there is nothing to
// cancel in a worker.
void on_cancel_signal(SIGNAL_ARGS);

// Runs `fill` in a transaction and commits it; `activity` is what pg_stat_activity shows. It waits for locks only a moment, since the deletes wait
// with it. False: it failed and was rolled back; `problem` says why.
bool run_signal_transaction(const char* activity, std::string* problem, const std::function<void(SignalTransaction&)>& fill);

}  // namespace cache_invalidate::delivery
