// Where the worker waits: for its latch, the postmaster's death, and the sockets of all targets; under load for time.
#pragma once

#include <memory>
#include <vector>

#include "delivery/target.hpp"

namespace cache_invalidate::delivery {

class Waiter {
 public:
  Waiter() = default;
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Waits until something happens or `timeout` milliseconds have passed (-1: without end), then tells the
  // targets whose sockets are ready. Ends the process when the postmaster is gone. Interrupts are the caller's.
  void wait(const std::vector<std::unique_ptr<Target>>& targets, long timeout);

  // Sleeps until that time, and only tells the targets that have more to write, or to send when they are answered. It does not look
  // at the latch, and mostly at no answer: neither has to wake this process. Less than a second, or until a signal comes.
  // False: it is past already.
  bool pause(const std::vector<std::unique_ptr<Target>>& targets, TimestampTz until);

 private:
  struct Socket {
    Target* target;
    int fd;
    int place;
    bool writes;
  };

  void watch(const std::vector<std::unique_ptr<Target>>& targets);

  WaitEventSet* set_ = nullptr;
  std::vector<Socket> sockets_;
  std::vector<const Target*> watched_;  // whom the set was made for: compared, never followed
};

}  // namespace cache_invalidate::delivery
