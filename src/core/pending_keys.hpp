// PendingKeys: the keys owed to one target, folded across transactions.
//
// While one set is on its way (in flight), the next one collects: natural batching. A set counts as
// delivered only when every command of it was answered; a lost connection puts it back whole.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/byte_set.hpp"

namespace cache_invalidate::core {

class PendingKeys {
 public:
  // `position`: of the batch that owes the key, in the worker's order of consumption.
  void add(std::string_view key, std::uint64_t position);

  // Nothing more is owed up to this position (batches without keys for this target move it as well).
  void note_position(std::uint64_t position) { collecting_position_ = position; }

  std::size_t collecting() const { return collecting_.size(); }
  std::size_t in_flight() const { return in_flight_.size(); }
  std::size_t memory() const { return collecting_.memory() + in_flight_.memory(); }

  // Makes what was collected the set in flight. Only when none is.
  void depart();
  std::string_view key(std::uint32_t index) const { return in_flight_.bytes(index); }
  // All of the set in flight was acknowledged.
  void arrived();
  // The connection is gone: the set in flight is owed again.
  void put_back();
  // Forgets what was collected: the journal will be read instead.
  void forget_collected() { collecting_.clear(); }

  // Everything up to this position has been acknowledged.
  std::uint64_t acknowledged() const;

 private:
  ByteSet collecting_;
  ByteSet in_flight_;
  std::uint64_t collecting_position_ = 0;
  std::uint64_t in_flight_position_ = 0;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace cache_invalidate::core
