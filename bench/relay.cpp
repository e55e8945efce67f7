// Notifications: what has come within a millisecond is deleted in one pipeline, and one that comes alone at once.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#include "consumer.hpp"
#include "ending.hpp"
#include "keys.hpp"
#include "session.hpp"

namespace cache_invalidate::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWaitMs = 1000;
constexpr std::chrono::milliseconds kPause{1};  // at least, from one pipeline to the next
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

class Relay {
 public:
  explicit Relay(const Task& task) : task_(task), session_(task.conninfo) {
    session_.run(std::string("LISTEN ") + channel_of(task.mode));
    task.say_ready();
  }

  // Waits for some, and handles all that have come.
  void take();
  std::uint64_t received() const { return received_; }

 private:
  void handle(const char* payload);

  const Task& task_;
  Session session_;
  const bool is_tcn_ = task_.mode == "tcn";
  const bool counts_only_ = task_.mode == "listen";
  Clock::time_point due_{};  // of the next pipeline
  std::uint64_t received_ = 0;
};

void Relay::handle(const char* payload) {
  ++received_;
  if (!counts_only_) {
    task_.deleter.add(is_tcn_ ? key_of_tcn(payload) : payload);
  } else if (std::strstr(payload, kSentinel) != nullptr) {
    say_heard();
  }
}

void Relay::take() {
  if (!wait(session_.socket(), kWaitMs)) return;
  if (!counts_only_) std::this_thread::sleep_until(due_);
  due_ = Clock::now() + kPause;
  // One read takes only as much as libpq's buffer has room for.
  do {
    session_.take_input();
    while (const std::unique_ptr<PGnotify, Free> notify{PQnotifies(session_.get())}) handle(notify->extra);
  } while (!counts_only_ && task_.deleter.size() < kMostKeys && wait(session_.socket(), 0));
  task_.deleter.flush();
}

}  // namespace

std::uint64_t relay_notifications(const Task& task) {
  Relay relay(task);
  while (!is_ending()) relay.take();
  return relay.received();
}

}  // namespace cache_invalidate::bench
