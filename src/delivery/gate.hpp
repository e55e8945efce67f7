// Gate: caches first, signals second. It knows whom messages wait for, and which must be said again because a target
// deleted its keys after they had left.
//
// A target that is up is waited for, up to signal_timeout without an answer. One that let it pass, or is down, is
// passed over: nothing waits for it until it answers again and has nearly caught up. When it has deleted all that the
// messages meanwhile spoke of, they are repeated from the journal.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/snapshot.hpp"
#include "delivery/target.hpp"

namespace cache_invalidate::delivery {

using Targets = std::vector<std::unique_ptr<Target>>;

class Gate {
 public:
  explicit Gate(const Targets& targets) : targets_(targets) {}

  // Up to which position messages may leave; `position`: the last one taken.
  std::uint64_t open_to(std::uint64_t position, TimestampTz now) const;
  // Somebody is sent more by PUBLISH than he takes.
  bool is_clogged(TimestampTz now) const;
  // When at the latest a target that is waited for now is passed over.
  TimestampTz opens(TimestampTz now) const;

  // Nobody is waited for any more: the worker ends.
  void open() { is_open_ = true; }

  // Messages up to here leave now.
  void note_sent(std::uint64_t position, TimestampTz now);
  // Targets that answer again are waited for again, and those that lost messages owe them. Each cycle, and before messages are
  // taken for said; `position`: the last one taken; `said`: all that it contains was said, and had arrived.
  void settle(std::uint64_t position, const core::XidSnapshot& said);
  // It is told everything again that the journal has; then the messages too.
  void note_behind(Target& target);

  // The batch at `position` is in no journal: its messages cannot be repeated, so a reset message stands for them.
  void note_volatile(std::uint64_t position) { volatile_position_ = position; }
  std::uint64_t volatile_position() const { return volatile_position_; }

  // The journal loses them: a reset message stands for what targets still owe.
  void give_up_repeats();

  // A target has caught up with what it was passed over for.
  bool wants_repeat(TimestampTz now) const;
  // The repetition begins: everything that one of these snapshots does not contain. Those that the journal has no
  // more are left to `reset`: a reset message stands for them.
  std::vector<core::XidSnapshot> take_repeats(bool& reset);

 private:
  bool is_waited_for(const Target& target, TimestampTz now) const;
  static bool is_clogged(const Target& target, TimestampTz now);

  const Targets& targets_;
  bool is_open_ = false;
  TimestampTz repeats_from_ = 0;         // none before
  std::uint64_t volatile_position_ = 0;  // of the last such batch
};

}  // namespace cache_invalidate::delivery
