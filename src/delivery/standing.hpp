// Standing: how a target stands with the messages. Written by the gate.
#pragma once

#include <cstdint>

#include "core/snapshot.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

struct Standing {
  bool passed = false;                // messages do not wait for it
  TimestampTz passed_at = 0;          // since when
  bool owes_messages = false;         // some left before its deletes: they are repeated when those are done
  std::uint64_t passed_position = 0;  // up to here
  core::XidSnapshot repeat_from;      // none of these
  bool reset_due = false;             // some of them are in the journal no more
};

}  // namespace cache_invalidate::delivery
