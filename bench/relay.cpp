// Notifications, as they come: what one read brought is deleted in one pipeline.
#include <cstdio>
#include <cstring>
#include <memory>

#include "consumer.hpp"
#include "ending.hpp"
#include "keys.hpp"
#include "session.hpp"

namespace cache_invalidate::bench {

namespace {

constexpr int kWaitMs = 1000;
constexpr std::size_t kMostKeys = 10000;
constexpr char kSentinel[] = "\"record_id\":\"0\"";  // of the row that ends a slice

struct Free {
  void operator()(PGnotify* notify) const noexcept { PQfreemem(notify); }
};

void say_heard() {
  std::puts("heard");
  std::fflush(stdout);
}

const char* channel_of(const std::string& mode) {
  if (mode == "listen") return "cache_invalidation";
  return mode == "tcn" ? "tcn" : "invalidation";
}

}  // namespace

std::uint64_t relay_notifications(const Task& task) {
  const bool is_tcn = task.mode == "tcn";
  const bool counts_only = task.mode == "listen";
  Session session(task.conninfo);
  session.run(std::string("LISTEN ") + channel_of(task.mode));
  task.say_ready();
  std::uint64_t received = 0;
  while (!is_ending()) {
    if (wait(session.socket(), kWaitMs)) session.take_input();
    while (const std::unique_ptr<PGnotify, Free> notify{PQnotifies(session.get())}) {
      ++received;
      if (counts_only) {
        if (std::strstr(notify->extra, kSentinel) != nullptr) say_heard();
        continue;
      }
      task.deleter.add(is_tcn ? key_of_tcn(notify->extra) : notify->extra);
      if (task.deleter.size() >= kMostKeys) task.deleter.flush();
    }
    task.deleter.flush();
  }
  return received;
}

}  // namespace cache_invalidate::bench
