// A session with PostgreSQL that never waits for ever: an answer that does not come in time, or after the
// end, is a connection lost.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "log.hpp"

namespace cache_invalidate::consistency {

class Database {
 public:
  enum class State {
    done,
    failed,  // the server reported an error; error() is its SQLSTATE
    lost,    // whether it was done is unknown
  };

  using Conninfo = std::function<std::string()>;

  // `is_over`: answers are waited for only a little longer.
  Database(Conninfo conninfo, std::function<bool()> is_over);

  bool is_connected() const { return connection_ != nullptr; }
  // One attempt, of at most some seconds.
  bool connect();
  void close() { connection_.reset(); }

  // One statement; parameters are text.
  State run(const char* statement, const std::vector<std::string>& parameters = {});
  // Of the last one that was done; nullptr: NULL, or no such row.
  const char* value(int row = 0, int column = 0) const;
  std::int64_t number(int row = 0, int column = 0) const;
  int rows() const { return result_ ? PQntuples(result_.get()) : 0; }
  const std::string& error() const { return error_; }
  const std::string& message() const { return message_; }

  // The payload of the next notification; false: none is there. Sees what has arrived, up to wait_ms later.
  bool next_notification(std::string& payload, int wait_ms);

 private:
  struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
    void operator()(PGresult* result) const noexcept { PQclear(result); }
    void operator()(PGnotify* notify) const noexcept { PQfreemem(notify); }
  };
  using Result = std::unique_ptr<PGresult, Finish>;

  bool wait_for_answer();
  State take_answer();
  State lose();

  Conninfo conninfo_;
  std::function<bool()> is_over_;
  std::unique_ptr<PGconn, Finish> connection_;
  Result result_;
  std::string error_;
  std::string message_;
};

}  // namespace cache_invalidate::consistency
