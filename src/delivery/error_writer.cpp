#include "delivery/error_writer.hpp"

#include <algorithm>
#include <vector>

#include "delivery/error_table.hpp"
#include "delivery/retry.hpp"
#include "delivery/signals.hpp"
#include "pg/clock.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kSecond = 1000000;
constexpr TimestampTz kMinute = 60 * kSecond;  // between two updates of counts, and two looks for old rows
constexpr TimestampTz kHour = 60 * kMinute;
constexpr std::size_t kMostAtOnce = 1000;
constexpr int kMostFailures = 5;

// The number of the row in which the fold is now; 0: somebody has locked what it takes.
std::int64_t write_fold(ErrorTable& table, const core::ErrorFold& fold, bool may_insert) {
  if (fold.row != 0) {
    const ErrorTable::Outcome outcome = table.add_occurrences(fold);
    if (outcome != ErrorTable::Outcome::gone) return outcome == ErrorTable::Outcome::done ? fold.row : 0;
  }
  return may_insert ? table.insert(fold) : 0;
}

}  // namespace

bool ErrorWriter::write_folds(Which which, std::string& problem) {
  const bool may_insert = which != Which::counts_of_rows;
  const std::vector<core::ErrorFold*> folds = folds_.due(which != Which::due, may_insert ? kMostAtOnce : core::ErrorFolds::kMost);
  std::vector<std::int64_t> rows(folds.size());
  const char* refusal = nullptr;
  const bool committed = run_signal_transaction("writing the error log", &problem, [&](SignalTransaction&) {
    const pg::Extension* extension = pg::extension();
    if (extension == nullptr) return;
    CACHE_INVALIDATE_CRASH_POINT("errors.write", caught);
    ErrorTable table(*extension);
    refusal = table.problem();
    for (std::size_t i = 0; refusal == nullptr && i < folds.size(); ++i) {
      if (may_insert || folds[i]->row != 0) rows[i] = write_fold(table, *folds[i], may_insert);
    }
    CACHE_INVALIDATE_CRASH_POINT("errors.inserted", caught);
    table.close();
  });
  if (!committed) return false;
  CACHE_INVALIDATE_CRASH_POINT("errors.committed", fails);
  std::uint64_t written = 0;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    if (rows[i] == 0) continue;
    written += folds[i]->count;
    folds_.note_written(*folds[i], rows[i]);
  }
  pg_atomic_fetch_add_u64(&board_.counters.errors, written);
  if (refusal != nullptr) problem = refusal;
  if (refusal == nullptr && std::count(rows.begin(), rows.end(), 0) > 0) problem = "a row or the sequence is locked";
  return problem.empty();
}

void ErrorWriter::note_failure(const std::string& problem, TimestampTz now) {
  if (problem != told_) {
    told_ = problem;
    ereport(LOG, (errmsg("cache_invalidate: could not write to trigger_error_log, will try again: %s", problem.c_str())));
  }
  retry_at_ = retry_time(backoff_, now);
  if (++failures_ >= kMostFailures) folds_.release();
}

void ErrorWriter::write(TimestampTz now) {
  const bool has_counts = folds_.has_counts() && now >= next_counts_;
  if (now >= retry_at_ && (folds_.has_new() || has_counts)) {
    std::string problem;
    if (write_folds(has_counts ? Which::due_and_counts : Which::due, problem)) {
      failures_ = 0;
      retry_at_ = 0;
      backoff_.reset();
      told_.clear();
    } else {
      note_failure(problem, now);
    }
    folds_.settle(pg::unix_microseconds(now));
    // What was left of a large number goes on at once.
    const bool is_left = retry_at_ == 0 && has_counts && !folds_.due(true, 1).empty();
    if (!is_left && now >= next_counts_) next_counts_ = now + kMinute;
    next_tidy_ = std::min(next_tidy_, last_tidy_ + kMinute);
  }
  if (now >= next_tidy_) tidy(now);
}

void ErrorWriter::tidy(TimestampTz now) {
  const TimestampTz before = settings::error_log_retention == 0 ? 0 : now - settings::error_log_retention * kSecond;
  bool more = false;
  std::string problem;
  const bool committed = run_signal_transaction("tidying the error log", &problem, [&](SignalTransaction&) {
    const pg::Extension* extension = pg::extension();
    if (extension == nullptr) return;
    CACHE_INVALIDATE_CRASH_POINT("errors.tidy", caught);
    ErrorTable table(*extension);
    if (table.problem() == nullptr) more = table.remove_old(before, settings::error_log_limit, kMostAtOnce);
    table.close();
  });
  last_tidy_ = now;
  next_tidy_ = now + (!committed ? kMinute : more ? 0 : kHour);
  if (!committed && problem != told_) {
    told_ = problem;
    ereport(LOG, (errmsg("cache_invalidate: could not remove old rows of trigger_error_log, will try again: %s", problem.c_str())));
  }
}

void ErrorWriter::finish() {
  if (!folds_.has_counts()) return;
  std::string problem;
  write_folds(Which::counts_of_rows, problem);
}

TimestampTz ErrorWriter::deadline() const {
  TimestampTz earliest = next_tidy_;
  if (folds_.has_new()) earliest = std::min(earliest, retry_at_);
  if (folds_.has_counts()) earliest = std::min(earliest, std::max(next_counts_, retry_at_));
  return earliest;
}

}  // namespace cache_invalidate::delivery
