// What a transaction costs, finer than throughput tells: one session per database, which take short turns at the same statement, in an
// order of chance, and the time that the operating system says each process ran.
//
//   paired CONNINFO TRANSACTIONS ROUNDS DATABASE...
//
// After a first round that does not count it prints a line for each round and database: "DATABASE BACKEND WALL WAL WORKER", where
// BACKEND and WORKER are microseconds of processor time a transaction, of the session and of the database's cache_invalidate worker,
// WALL is microseconds a transaction, and WAL bytes a transaction. A background process that writes WAL adds to it.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "session.hpp"

namespace {

namespace bench = cache_invalidate::bench;

constexpr int kRows = 1000;

struct Side {
  std::string database;
  bench::Session session;
  std::string backend;  // process ids
  std::string worker;   // empty: there is none
  int next = 0;
};

struct Cost {
  double backend, wall, wal, worker;
};

// Nanoseconds that the process ran.
double run_time(const std::string& pid) {
  if (pid.empty()) return 0;
  std::ifstream file("/proc/" + pid + "/schedstat");
  double nanoseconds = 0;
  if (!(file >> nanoseconds)) throw std::runtime_error("no times of process " + pid);
  return nanoseconds;
}

std::string first_value(bench::Session& session, const std::string& query) {
  return session.run(query) > 0 ? session.value(0) : "";
}

double wal_position(bench::Session& session) {
  return std::atof(first_value(session, "SELECT pg_current_wal_insert_lsn() - '0/0'").c_str());
}

Side open(const std::string& conninfo, const std::string& database) {
  Side side{database, bench::Session(conninfo + " dbname=" + database), "", ""};
  side.backend = first_value(side.session, "SELECT pg_backend_pid()");
  side.worker = first_value(side.session,
                            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker' AND datname = current_database()");
  side.session.prepare("change", "UPDATE item SET version = version + 1 WHERE id = $1::int");
  return side;
}

Cost measure(Side& side, int transactions) {
  const double wal = wal_position(side.session);
  const double backend = run_time(side.backend);
  const double worker = run_time(side.worker);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < transactions; ++i) {
    side.next = side.next % kRows + 1;
    side.session.run_prepared("change", std::to_string(side.next).c_str());
  }
  const std::chrono::duration<double, std::micro> wall = std::chrono::steady_clock::now() - begin;
  const double ran = run_time(side.backend) - backend;
  // The worker is done when it sleeps.
  double before = -1;
  for (double now = run_time(side.worker); now != before; now = run_time(side.worker)) {
    before = now;
    side.session.run("SELECT pg_sleep(0.02)");
  }
  return {ran / 1000 / transactions, wall.count() / transactions, (wal_position(side.session) - wal) / transactions,
          (before - worker) / 1000 / transactions};
}

}  // namespace

int main(int count, char** words) try {
  if (count < 5) throw std::runtime_error("usage: paired CONNINFO TRANSACTIONS ROUNDS DATABASE...");
  const int transactions = std::atoi(words[2]);
  const int rounds = std::atoi(words[3]);
  std::vector<Side> sides;
  for (int i = 4; i < count; ++i) sides.push_back(open(words[1], words[i]));
  std::vector<std::size_t> order(sides.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 chance(1);
  for (int round = 0; round <= rounds; ++round) {
    std::shuffle(order.begin(), order.end(), chance);
    for (const std::size_t turn : order) {
      Side& side = sides[turn];
      const Cost cost = measure(side, transactions);
      if (round > 0) std::printf("%s %.3f %.3f %.1f %.3f\n", side.database.c_str(), cost.backend, cost.wall, cost.wal, cost.worker);
    }
    std::fflush(stdout);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "paired: %s\n", error.what());
  return 1;
}
