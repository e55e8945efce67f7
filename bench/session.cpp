#include "session.hpp"

#include <poll.h>

#include <stdexcept>

namespace cache_invalidate::bench {

Session::Session(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) fail("connect");
}

void Session::fail(const std::string& doing) const {
  throw std::runtime_error(doing + ": " + PQerrorMessage(connection_.get()));
}

int Session::take(PGresult* result, const std::string& doing) {
  result_.reset(result);
  const ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_BOTH) fail(doing);
  return PQntuples(result);
}

int Session::run(const std::string& statement) {
  return take(PQexec(connection_.get(), statement.c_str()), statement);
}

void Session::prepare(const char* name, const char* statement) {
  take(PQprepare(connection_.get(), name, statement, 0, nullptr), statement);
}

int Session::run_prepared(const char* name, const char* parameter) {
  const char* const values[] = {parameter};
  return take(
      PQexecPrepared(connection_.get(), name, parameter == nullptr ? 0 : 1, values, nullptr, nullptr, 0),
      name);
}

void Session::take_input() {
  if (PQconsumeInput(connection_.get()) == 0) fail("read");
}

void Session::flush() {
  for (;;) {
    const int left = PQflush(connection_.get());
    if (left < 0) fail("write");
    if (left == 0) return;
    pollfd wanted{socket(), POLLOUT, 0};
    poll(&wanted, 1, 1000);
  }
}

}  // namespace cache_invalidate::bench
