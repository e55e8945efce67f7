#include "database.hpp"

#include <poll.h>

#include <cstdlib>

namespace cache_invalidate::consistency {

namespace {

constexpr Nanoseconds kPatience = 15 * kSecond;
constexpr Nanoseconds kLastPatience = 2 * kSecond;
constexpr int kPollMs = 100;

}  // namespace

Database::Database(Conninfo conninfo, std::function<bool()> is_over)
    : conninfo_(std::move(conninfo)), is_over_(std::move(is_over)) {}

bool Database::connect() {
  result_.reset();
  const std::string conninfo = conninfo_() +
                               " application_name=consistency connect_timeout=2 client_encoding=UTF8"
                               " options='-c lock_timeout=3s -c client_min_messages=warning'";
  connection_.reset(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection_.get()) == CONNECTION_OK && PQsetnonblocking(connection_.get(), 1) == 0)
    return true;
  message_ = PQerrorMessage(connection_.get());
  connection_.reset();
  return false;
}

Database::State Database::lose() {
  message_ = PQerrorMessage(connection_.get());
  error_ = "08006";
  result_.reset();
  connection_.reset();
  return State::lost;
}

Database::State Database::run(const char* statement, const std::vector<std::string>& parameters) {
  result_.reset();
  error_.clear();
  if (!connection_) return State::lost;
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  const int sent = PQsendQueryParams(connection_.get(), statement, static_cast<int>(values.size()), nullptr,
                                     values.data(), nullptr, nullptr, 0);
  return sent == 1 && wait_for_answer() ? take_answer() : lose();
}

// False: it did not come, or the connection is gone.
bool Database::wait_for_answer() {
  const Nanoseconds begin = now();
  Nanoseconds end_seen = 0;
  for (;;) {
    const int unsent = PQflush(connection_.get());
    if (unsent < 0) return false;
    if (unsent == 0 && PQisBusy(connection_.get()) == 0) return true;
    pollfd wanted{PQsocket(connection_.get()), static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN), 0};
    poll(&wanted, 1, kPollMs);
    if (wanted.revents != 0 && PQconsumeInput(connection_.get()) == 0) return false;
    const Nanoseconds time = now();
    if (is_over_() && end_seen == 0) end_seen = time;
    if (time - begin > kPatience || (end_seen != 0 && time - end_seen > kLastPatience)) return false;
  }
}

Database::State Database::take_answer() {
  result_.reset(PQgetResult(connection_.get()));
  // The end of the answer follows at once.
  for (;;) {
    if (!wait_for_answer()) return lose();
    const Result more(PQgetResult(connection_.get()));
    if (!more) break;
  }
  const ExecStatusType status = PQresultStatus(result_.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return State::done;
  if (PQstatus(connection_.get()) == CONNECTION_BAD) return lose();
  const char* error = PQresultErrorField(result_.get(), PG_DIAG_SQLSTATE);
  error_ = error == nullptr ? "" : error;
  message_ = PQresultErrorMessage(result_.get());
  // The session ends: an administrator's command, or a crash of another.
  if (error_.empty() || error_.compare(0, 3, "57P") == 0 || error_.compare(0, 2, "08") == 0) return lose();
  return State::failed;
}

const char* Database::value(int row, int column) const {
  if (!result_ || row >= PQntuples(result_.get()) || PQgetisnull(result_.get(), row, column) != 0)
    return nullptr;
  return PQgetvalue(result_.get(), row, column);
}

std::int64_t Database::number(int row, int column) const {
  const char* text = value(row, column);
  return text == nullptr ? 0 : std::strtoll(text, nullptr, 10);
}

bool Database::next_notification(std::string& payload, int wait_ms) {
  for (int attempt = 0; connection_ && attempt < 2; ++attempt) {
    if (PQconsumeInput(connection_.get()) == 0) break;
    const std::unique_ptr<PGnotify, Finish> notify(PQnotifies(connection_.get()));
    if (notify) {
      payload = notify->extra;
      return true;
    }
    if (attempt > 0 || wait_ms == 0) return false;
    pollfd wanted{PQsocket(connection_.get()), POLLIN, 0};
    poll(&wanted, 1, wait_ms);
  }
  if (connection_) lose();
  return false;
}

}  // namespace cache_invalidate::consistency
