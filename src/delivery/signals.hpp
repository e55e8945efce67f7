// What leaves the worker through the database itself: NOTIFY, and rows of trigger_error_log.
#pragma once

#include <cstdint>
#include <string>

#include "core/payload.hpp"

namespace cache_invalidate::delivery {

// One transaction of the worker. Every call may raise an error, which ends the worker: what was not
// committed is still in the journal.
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

}  // namespace cache_invalidate::delivery
