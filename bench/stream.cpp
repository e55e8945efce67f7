// Streaming replication from the slot "bench", as pg_recvlogical does it. What is confirmed to the server is
// deleted in the Redis.
#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "consumer.hpp"
#include "ending.hpp"
#include "keys.hpp"
#include "session.hpp"

namespace cache_invalidate::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWaitMs = 100;
constexpr std::size_t kMostKeys = 10000;
constexpr std::chrono::seconds kConfirm{1};
constexpr std::size_t kHeadOfChange = 1 + 3 * 8;  // 'w', its place, the end of the WAL, the server's time
constexpr std::size_t kHeadOfKeepalive = 1 + 2 * 8 + 1;

struct Free {
  void operator()(char* buffer) const noexcept { PQfreemem(buffer); }
};

std::uint64_t number_at(const char* place) {
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | static_cast<unsigned char>(place[i]);
  return number;
}

void append_number(std::string& text, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(number >> shift & 0xff);
}

class Stream {
 public:
  explicit Stream(const Task& task);

  // All that has arrived.
  void take();
  void confirm();
  void confirm_sometimes() {
    if (Clock::now() - confirmed_ >= kConfirm) confirm();
  }
  int socket() const { return session_.socket(); }
  std::uint64_t received() const { return received_; }

 private:
  void take(std::string_view message);

  Session session_;
  Deleter& deleter_;
  std::uint64_t place_ = 0;  // up to here everything was added to the deleter
  bool is_asked_ = false;
  Clock::time_point confirmed_ = Clock::now();
  std::uint64_t received_ = 0;
};

Stream::Stream(const Task& task) : session_(task.conninfo + " replication=database"), deleter_(task.deleter) {
  session_.run(
      "START_REPLICATION SLOT bench LOGICAL 0/0"
      " (\"format-version\" '2', \"include-transaction\" 'false', \"include-types\" 'false')");
  task.say_ready();
}

void Stream::take() {
  session_.take_input();
  for (;;) {
    char* buffer = nullptr;
    const int length = PQgetCopyData(session_.get(), &buffer, 1);
    const std::unique_ptr<char, Free> owner(buffer);
    if (length < 0) session_.fail("replication ended");
    if (length == 0) break;
    take(std::string_view(buffer, static_cast<std::size_t>(length)));
    if (deleter_.size() >= kMostKeys) deleter_.flush();
  }
  deleter_.flush();
  if (is_asked_) confirm();
}

void Stream::take(std::string_view message) {
  if (message.front() == 'k' && message.size() >= kHeadOfKeepalive) {
    place_ = std::max(place_, number_at(message.data() + 1));
    is_asked_ = is_asked_ || message[kHeadOfKeepalive - 1] != 0;
  } else if (message.front() == 'w' && message.size() >= kHeadOfChange) {
    place_ = std::max(place_, number_at(message.data() + 1));
    std::string key = key_of_wal2json(message.substr(kHeadOfChange));
    if (key.empty()) return;
    ++received_;
    deleter_.add(std::move(key));
  } else {
    throw std::runtime_error("an unknown message of replication");
  }
}

void Stream::confirm() {
  std::string message = "r";
  for (int i = 0; i < 3; ++i) append_number(message, place_);  // written, flushed, applied
  append_number(message, 0);                                   // our time: nobody asks for it
  message += '\0';
  if (PQputCopyData(session_.get(), message.data(), static_cast<int>(message.size())) != 1)
    session_.fail("confirm");
  session_.flush();
  is_asked_ = false;
  confirmed_ = Clock::now();
}

}  // namespace

std::uint64_t stream_wal2json(const Task& task) {
  Stream stream(task);
  while (!is_ending()) {
    if (wait(stream.socket(), kWaitMs)) stream.take();
    stream.confirm_sometimes();
  }
  stream.confirm();
  return stream.received();
}

}  // namespace cache_invalidate::bench
