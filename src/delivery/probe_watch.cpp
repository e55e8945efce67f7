#include "delivery/probe_watch.hpp"

#include <algorithm>

#include "core/bytes.hpp"

namespace cache_invalidate::delivery {

void ProbeWatch::start(std::string_view bytes, std::uint64_t position, TimestampTz committed) {
  core::ByteReader reader(bytes);
  const std::uint64_t id = reader.fixed64();
  if (!reader.ok()) return;
  SpinLockAcquire(&board_.lock);
  for (journal::ProbeStatus& probe : board_.probe) {
    if (probe.id == id) probe.committed = committed;
  }
  SpinLockRelease(&board_.lock);
  probes_.push_back({id, position});
}

void ProbeWatch::advance(std::uint64_t signalled, TimestampTz now) {
  if (probes_.empty()) return;
  const auto is_done = [&](const Probe& waiting) { return note_arrivals(waiting, signalled, now); };
  probes_.erase(std::remove_if(probes_.begin(), probes_.end(), is_done), probes_.end());
  ConditionVariableBroadcast(&board_.probes_changed);
}

// True: it has arrived everywhere, or nobody waits for it any more.
bool ProbeWatch::note_arrivals(const Probe& waiting, std::uint64_t signalled, TimestampTz now) {
  bool done = signalled >= waiting.position;
  SpinLockAcquire(&board_.lock);
  for (journal::ProbeStatus& probe : board_.probe) {
    if (probe.id != waiting.id) continue;
    if (done && probe.notified == 0) probe.notified = now;
    for (const auto& target : targets_) {
      for (auto& answer : probe.target) {
        if (answer.server != target->server() || answer.acknowledged != 0) continue;
        if (target->enabled() && !target->is_detached() && target->acknowledged() >= waiting.position) {
          answer.acknowledged = now;
        } else {
          done = false;
        }
      }
    }
  }
  SpinLockRelease(&board_.lock);
  return done;
}

}  // namespace cache_invalidate::delivery
