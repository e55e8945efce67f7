// The worker's one wait point: its latch, the postmaster's death, and the sockets of all targets.
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
