// MessageQueue: messages that wait for their turn, in commit order; equal ones of different transactions fold
// and the newest wins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/byte_set.hpp"
#include "core/payload.hpp"

namespace cache_invalidate::core {

class MessageQueue {
 public:
  struct Waiting {
    Message message;
    std::uint64_t position = 0;  // in the worker's order of consumption
    bool folded = false;         // a newer one says the same
  };

  // Throws std::bad_alloc.
  void add(const Shape& shape, Operation operation, std::string_view id, std::string_view fields, BatchHeader origin,
           std::uint64_t position);

  // The oldest message, skipping folded ones; nullptr when there is none.
  const Waiting* front();
  void pop();

  bool empty() { return front() == nullptr; }
  std::size_t size() const { return queue_.size() - head_; }
  std::size_t folded() const { return folded_; }

  // Orders by the time at which the transactions began to commit: after a scan of the journal, whose order is
  // where rows happened to be put.
  void sort_by_time();

 private:
  void reset_if_drained();

  std::vector<Waiting> queue_;
  std::size_t head_ = 0;
  ByteSet identities_;                   // encoded shape, operation, id, fields
  std::vector<std::size_t> newest_;      // of each identity: its place in queue_
  std::string scratch_;
  std::size_t folded_ = 0;
};

}  // namespace cache_invalidate::core
