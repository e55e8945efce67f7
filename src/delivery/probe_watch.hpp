// ProbeWatch: end-to-end tests that are on their way, and what has become of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "delivery/gate.hpp"
#include "journal/board.hpp"

namespace cache_invalidate::delivery {

class ProbeWatch {
 public:
  ProbeWatch(journal::Board& board, const Targets& targets) : board_(board), targets_(targets) {}

  // A test came with the batch at `position`.
  void start(std::string_view bytes, std::uint64_t position, TimestampTz committed);
  // Tells who waits what has arrived. `signalled`: every message up to there was sent.
  void advance(std::uint64_t signalled, TimestampTz now);

 private:
  struct Probe {
    std::uint64_t id;
    std::uint64_t position;
  };
  bool note_arrivals(const Probe& waiting, std::uint64_t signalled, TimestampTz now);

  journal::Board& board_;
  const Targets& targets_;
  std::vector<Probe> probes_;
};

}  // namespace cache_invalidate::delivery
