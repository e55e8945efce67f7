// Queues in tables: what is taken is deleted in the Redis before the transaction commits, and the commit need
// not be durable: after a crash the same keys come again.
#include <chrono>

#include "consumer.hpp"
#include "ending.hpp"
#include "session.hpp"

namespace cache_invalidate::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPollMs = 10;
constexpr std::chrono::milliseconds kTick{100};

constexpr int kRows = 5000;  // at once; the statements say it too

// The rows have the key in this column.
std::uint64_t delete_rows(const Session& session, int rows, int column, Deleter& deleter) {
  for (int row = 0; row < rows; ++row) deleter.add(session.value(row, column));
  deleter.flush();
  return static_cast<std::uint64_t>(rows);
}

}  // namespace

std::uint64_t empty_outbox(const Task& task) {
  Session session(task.conninfo);
  session.run("SET synchronous_commit = off");
  // The plan is made when the table is empty, and has to do when it is not.
  session.run("SET enable_seqscan = off");
  // There is no other consumer, and rows are not updated: where they stand is enough to find them again.
  session.prepare(
      "take",
      "DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox ORDER BY id LIMIT 5000))"
      " RETURNING key");
  task.say_ready();
  std::uint64_t received = 0;
  while (!is_ending()) {
    session.run("BEGIN");
    const int rows = session.run_prepared("take");
    received += delete_rows(session, rows, 0, task.deleter);
    session.run("COMMIT");
    // Under load, too: a take costs about the same for few rows as for many.
    if (rows < kRows) wait(-1, kPollMs);
  }
  return received;
}

namespace {

constexpr int kDataOfEvent = 5;  // ev_data, among the columns of the cursor

void prepare_pgq(Session& session) {
  session.run("SET synchronous_commit = off");
  session.prepare("tick", "SELECT pgq.ticker()");
  session.prepare("next", "SELECT pgq.next_batch('bench', 'deleter')");
  session.prepare("open", "SELECT ev_data FROM pgq.get_batch_cursor($1, 'events', 5000)");
  session.prepare("finish", "SELECT pgq.finish_batch($1)");
}

// False: there is none.
bool consume_batch(Session& session, Deleter& deleter, std::uint64_t& received) {
  session.run("BEGIN");
  session.run_prepared("next");
  const std::string batch = session.value(0);  // NULL is empty
  if (!batch.empty()) {
    int rows = session.run_prepared("open", batch.c_str());
    received += delete_rows(session, rows, 0, deleter);
    while (rows == kRows) {
      rows = session.run("FETCH 5000 FROM events");
      received += delete_rows(session, rows, kDataOfEvent, deleter);
    }
    session.run_prepared("finish", batch.c_str());
  }
  session.run("COMMIT");
  return !batch.empty();
}

}  // namespace

std::uint64_t consume_pgq(const Task& task) {
  Session session(task.conninfo);
  prepare_pgq(session);
  task.say_ready();
  std::uint64_t received = 0;
  for (Clock::time_point tick = Clock::now(); !is_ending(); tick += kTick) {
    session.run_prepared("tick");
    while (consume_batch(session, task.deleter, received) && !is_ending()) continue;
    const auto now = Clock::now();
    if (tick + kTick < now) tick = now - kTick;
    wait(-1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(tick + kTick - now).count()));
  }
  return received;
}

}  // namespace cache_invalidate::bench
