// A session with PostgreSQL. What fails throws std::runtime_error: a benchmark does not go on.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>

namespace cache_invalidate::bench {

class Session {
 public:
  explicit Session(const std::string& conninfo);

  PGconn* get() const { return connection_.get(); }
  int socket() const { return PQsocket(connection_.get()); }
  // Returns how many rows there are; they stay until the next statement.
  int run(const std::string& statement);
  void prepare(const char* name, const char* statement);
  // With at most one parameter.
  int run_prepared(const char* name, const char* parameter = nullptr);
  const char* value(int row, int column = 0) const { return PQgetvalue(result_.get(), row, column); }
  // Reads what has arrived.
  void take_input();
  // Until all that was put into the connection is sent.
  void flush();
  [[noreturn]] void fail(const std::string& doing) const;

 private:
  struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
    void operator()(PGresult* result) const noexcept { PQclear(result); }
  };

  int take(PGresult* result, const std::string& doing);

  std::unique_ptr<PGconn, Finish> connection_;
  std::unique_ptr<PGresult, Finish> result_;
};

}  // namespace cache_invalidate::bench
