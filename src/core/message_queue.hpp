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
    std::uint64_t oldest = 0;    // no message from this one on has a smaller position
    bool folded = false;         // a newer one says the same
  };

  // Throws std::bad_alloc; what waited before still does. Positions never fall.
  void add(const Shape& shape, Operation operation, std::string_view id, std::string_view fields, BatchHeader origin,
           std::uint64_t position);

  // The oldest message, skipping folded ones; nullptr when there is none.
  const Waiting* front();
  void pop();

  bool empty() { return front() == nullptr; }
  std::size_t size() const { return queue_.size() - head_; }
  std::size_t folded() const { return folded_; }

  // Orders by the time at which the transactions began to commit: after a scan of the journal, whose order is
  // where rows happened to be put. The positions are out of order then: ask `oldest` for what is still unsent.
  void sort_by_time();

 private:
  static constexpr std::size_t kLeastTrimmed = 1024;

  void enlist(std::size_t place);
  void reset_if_drained();
  void trim();
  void drop_done();
  void reindex();

  std::vector<Waiting> queue_;
  std::size_t head_ = 0;
  std::size_t done_ = 0;                 // of queue_: sent, or folded
  ByteSet identities_;                   // encoded shape, operation, id, fields
  std::vector<std::size_t> newest_;      // of each identity: its place in queue_
  std::string scratch_;
  std::size_t folded_ = 0;
};

}  // namespace cache_invalidate::core
