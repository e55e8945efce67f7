#include "delivery/error_writer.hpp"

#include "delivery/retry.hpp"
#include "delivery/signals.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kInterval = 60 * 1000000L;
constexpr std::size_t kMostKnown = 10000;
constexpr std::size_t kMostWaiting = 10000;
constexpr int kMostFailures = 5;

}  // namespace

// A rule that is broken fails with every row: one line a minute says as much.
bool ErrorWriter::is_repeated(const core::ErrorRecord& error, TimestampTz now) {
  std::string identity(error.context);
  identity.append(1, '\0').append(error.operation).append(1, '\0').append(error.message);
  if (logged_.size() >= kMostKnown) logged_.clear();
  TimestampTz& last = logged_[identity];
  if (last != 0 && now < last + kInterval) return true;
  last = now;
  return false;
}

void ErrorWriter::add(const core::ErrorRecord& error, std::int64_t time, std::uint64_t position, TimestampTz now) {
  if (is_repeated(error, now) || errors_.size() >= kMostWaiting) return;
  errors_.push_back({std::string(error.table), std::string(error.operation), std::string(error.message),
                     std::string(error.context), position, time});
}

void ErrorWriter::write(TimestampTz now) {
  if (errors_.empty() || now < retry_at_) return;
  const bool committed = run_signal_transaction([this](SignalTransaction& transaction) {
    for (const Waiting& e : errors_) transaction.log_error(e.table, e.operation, e.message, e.context, e.time);
  });
  if (!committed && ++failures_ < kMostFailures) {
    retry_at_ = retry_time(backoff_, now);
    return;
  }
  if (!committed) {
    ereport(LOG, (errmsg("cache_invalidate: could not write %zu rows to trigger_error_log, giving up", errors_.size())));
  } else {
    pg_atomic_fetch_add_u64(&board_.counters.errors, errors_.size());
  }
  failures_ = 0;
  backoff_.reset();
  errors_.clear();
}

}  // namespace cache_invalidate::delivery
