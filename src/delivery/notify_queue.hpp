// NotifyQueue: how full the server's queue of notifications is. When a listener that sits in a transaction lets it
// fill up, every commit of a user that notifies anybody fails: the worker must not be the one that fills it.
#pragma once

#include <cstddef>

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

class NotifyQueue {
 public:
  // Looks, if it is time to, before so many bytes are notified. False: they must not be.
  bool take_room(TimestampTz now, std::size_t bytes);
  // As of the last look; looks again when next_look() has come.
  bool has_room() const { return !is_held_; }
  void look(TimestampTz now);
  TimestampTz next_look() const { return next_look_; }

 private:
  bool is_held_ = false;
  std::size_t since_look_ = 0;  // bytes notified
  TimestampTz next_look_ = 0;
};

}  // namespace cache_invalidate::delivery
