// Who changes rows: bursts at the window's items, which are never changed again, and what else transactions
// do.
#pragma once

#include <cstdint>
#include <string>

#include "database.hpp"
#include "log.hpp"
#include "random.hpp"
#include "shared.hpp"

namespace cache_invalidate::consistency {

class Writer {
 public:
  Writer(Shared& shared, int number);
  void run();

 private:
  // How a statement is committed, or not.
  enum class Manner {
    alone,
    block,
    savepoint,
    nested,
    exception,
    undone,
    rolled_back,
    prepared,
    prepared_elsewhere
  };

  struct Work {
    Kind kind = Kind::window;
    std::string statement;   // "%t" stands for the token
    std::uint32_t rows = 1;  // at least so many are changed; 0: perhaps none
  };

  bool is_ready();
  void burst(Random& random);
  Work draw(Random& random);
  // False: what comes next should not be about the same rows.
  bool perform(const Work& work, Manner manner, Random& random);
  bool commit(const Work& work, std::int64_t token, const char* statement);
  bool commit_prepared(const Work& work, std::int64_t token, Manner manner, Random& random);
  void finish(Prepared prepared);
  void finish_others();
  bool run_all(std::initializer_list<std::string> statements);
  void note(const Work& work, std::int64_t token, Outcome outcome, Nanoseconds begin);
  static Manner draw_manner(Random& random);

  Shared& shared_;
  const int number_;
  Log log_;
  Database database_;
  int generation_ = -1;
  std::int64_t operation_ = 0;
  std::int64_t transaction_ = 0;  // of the operation
};

}  // namespace cache_invalidate::consistency
