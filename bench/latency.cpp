// How long after the return of COMMIT a key is gone, or a message is there.
//
//   latency key|self|notify CONNINFO REDIS_SOCKET RATE SECONDS CHANNEL
//
// Changes rows one at a time, RATE a second or as fast as that goes, and prints a line for each: microseconds. "key": until a second connection, which asks
// all the time, finds the key gone; "self": until this program has deleted the key itself, as an application would behind its COMMIT;
// "notify": until a message about the row has come on the channel; otherwise nobody listens. What does not come in a minute is an error.
#include <hiredis/hiredis.h>
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "session.hpp"

namespace {

namespace bench = cache_invalidate::bench;
using Clock = std::chrono::steady_clock;

constexpr int kFirstRow = 100001;  // behind those that the other workloads change
constexpr int kRows = 1000;
constexpr auto kMost = std::chrono::minutes(1);

class Redis {
 public:
  explicit Redis(const char* path) : context_(redisConnectUnix(path)) {
    if (context_ == nullptr || context_->err != 0) throw std::runtime_error(std::string("no Redis at ") + path);
  }
  ~Redis() { redisFree(context_); }
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  // True: the reply is not nil.
  bool run(const char* format, const std::string& key) {
    auto* reply = static_cast<redisReply*>(redisCommand(context_, format, key.c_str()));
    if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string("Redis: ") + format);
    const bool is_something = reply->type != REDIS_REPLY_NIL;
    freeReplyObject(reply);
    return is_something;
  }

 private:
  redisContext* context_;
};

void check(Clock::time_point begin) {
  if (Clock::now() - begin > kMost) throw std::runtime_error("nothing came within a minute");
}

// A message that has this number in it, and not as a part of a longer one.
bool speaks_of(const char* text, const std::string& number) {
  const std::string all = text;
  const auto is_digit = [&all](std::size_t place) { return place < all.size() && all[place] >= '0' && all[place] <= '9'; };
  for (std::size_t place = all.find(number); place != std::string::npos; place = all.find(number, place + 1)) {
    if (!(place > 0 && is_digit(place - 1)) && !is_digit(place + number.size())) return true;
  }
  return false;
}

void wait_for_message(bench::Session& listener, const std::string& number, Clock::time_point begin) {
  for (;;) {
    while (PGnotify* heard = PQnotifies(listener.get())) {
      const bool is_this = speaks_of(heard->extra, number);
      PQfreemem(heard);
      if (is_this) return;
    }
    check(begin);
    pollfd wanted{listener.socket(), POLLIN, 0};
    poll(&wanted, 1, 100);
    listener.take_input();
  }
}

}  // namespace

int main(int count, char** words) try {
  if (count != 7) throw std::runtime_error("usage: latency key|self|notify CONNINFO REDIS_SOCKET RATE SECONDS CHANNEL");
  const std::string mode = words[1];
  const double rate = std::atof(words[4]);
  const int samples = static_cast<int>(rate * std::atoi(words[5]));
  bench::Session writer(words[2]);
  bench::Session listener(words[2]);
  Redis redis(words[3]);
  writer.prepare("change", "UPDATE item SET version = version + 1 WHERE id = $1::int");
  if (mode == "notify") listener.run(std::string("LISTEN \"") + words[6] + '"');
  auto due = Clock::now();
  const auto end = due + std::chrono::seconds(std::atoi(words[5]));
  for (int i = 0; i < samples && Clock::now() < end; ++i) {
    std::this_thread::sleep_until(due);
    due += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate));
    const std::string number = std::to_string(kFirstRow + i % kRows);
    const std::string key = "item:" + number;
    redis.run("SET %s x", key);
    writer.run_prepared("change", number.c_str());
    const auto begin = Clock::now();
    if (mode == "notify") {
      wait_for_message(listener, number, begin);
    } else if (mode == "self") {
      redis.run("UNLINK %s", key);
    } else {
      while (redis.run("GET %s", key)) check(begin);
    }
    std::printf("%.1f\n", std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "latency: %s\n", error.what());
  return 1;
}
