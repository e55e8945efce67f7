// The modes of the consumer. Each says that it is ready when it misses nothing any more, works until it is
// told to end, and returns how much it received.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "deleter.hpp"

namespace cache_invalidate::bench {

struct Task {
  std::string mode;
  std::string conninfo;
  Deleter& deleter;
  std::function<void()> say_ready;
};

// Modes listen, notify and tcn: notifications.
std::uint64_t relay_notifications(const Task& task);
std::uint64_t empty_outbox(const Task& task);
std::uint64_t consume_pgq(const Task& task);
// The changes that the slot "bench" has, by streaming replication.
std::uint64_t stream_wal2json(const Task& task);

}  // namespace cache_invalidate::bench
