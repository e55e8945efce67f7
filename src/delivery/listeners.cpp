#include "delivery/listeners.hpp"

#include <cstring>

#include "delivery/signals.hpp"
#include "journal/shared.hpp"

namespace cache_invalidate::delivery {
namespace {

std::uint32_t bit_of(const char* channel) {
  return 1u << (hash_bytes(reinterpret_cast<const unsigned char*>(channel), static_cast<int>(strlen(channel))) & 31);
}

void forget(int /*code*/, Datum /*argument*/) { journal::withdraw_channels(); }

}  // namespace

void note_listening(const Node* statement) {
  if (!IsA(statement, ListenStmt)) return;
  static bool is_watched = false;
  if (!is_watched) before_shmem_exit(forget, Datum(0));
  is_watched = true;
  journal::announce_channels(MyDatabaseId, bit_of(reinterpret_cast<const ListenStmt*>(statement)->conditionname));
}

bool Listeners::may_hear(const core::Shape& shape) {
  const std::uint64_t changes = journal::channel_changes();
  if (!has_looked_ || changes != changes_) {
    channels_ = journal::announced_channels(MyDatabaseId);
    changes_ = changes;
    has_looked_ = true;
  }
  return channels_ != 0 && (channels_ & bit_of(channel_of(shape))) != 0;
}

}  // namespace cache_invalidate::delivery
