// Listeners: whether anybody may listen on a channel of this database. A message that nobody can hear is not sent: NOTIFY would
// take a transaction, and a lock of the whole cluster.
//
// The server tells nobody who listens. So every process notes in shared memory, before it runs LISTEN, that it may listen from
// now on, until it ends: UNLISTEN is not noted. A channel is one of 32 bits: some share one. Who says that nobody
// listens is right; who says that somebody may can be wrong. A message is asked for when its transaction has been taken, or later: whoever
// was to hear it had noted himself before he committed his LISTEN, and so before that.
#pragma once

#include <cstdint>

#include "core/payload.hpp"
#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// Any process, before a statement is run: notes what a LISTEN announces.
void note_listening(const Node* statement);

// Worker: who may listen in its database.
class Listeners {
 public:
  // Whether somebody may hear messages of this shape by NOTIFY.
  bool may_hear(const core::Shape& shape);

 private:
  std::uint64_t changes_ = 0;  // of the announcements, when they were looked at
  std::uint32_t channels_ = 0;
  bool has_looked_ = false;
};

}  // namespace cache_invalidate::delivery
