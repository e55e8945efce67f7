// Dispatcher: takes batches in the worker's order of consumption, owes their keys to the targets, and lets their
// messages leave when the caches are clean: caches first, signals second.
//
// A position is a number in that order: one a transaction. What it says of a target ("acknowledged up to")
// and of the signals ("sent up to") is what truncation and watermarks go by.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "core/commit_times.hpp"
#include "core/snapshot.hpp"
#include "delivery/error_writer.hpp"
#include "delivery/gate.hpp"
#include "delivery/outbox.hpp"
#include "delivery/pauses.hpp"
#include "delivery/probe_watch.hpp"
#include "delivery/target.hpp"
#include "journal/board.hpp"

namespace cache_invalidate::delivery {

class Dispatcher {
 public:
  explicit Dispatcher(journal::Board& board)
      : board_(board), gate_(targets_), outbox_(board, gate_, targets_), errors_(board), probes_(board, targets_) {}

  // Makes the targets what the definitions say; what is owed to those that stay is still owed. Those that are new,
  // or enabled again, need nothing of `before` and read the rest from the journal: batches that name them may
  // have been taken before they were known, even by a scan that has ended. False: such a batch may have been in no journal, so
  // that one which is enabled again lacks it.
  bool set_targets(const std::vector<TargetDefinition>& definitions, const core::XidSnapshot& before);
  // What is paused by hand is kept, and not sent.
  void pause(const Pauses& pauses);
  // A batch named a server that is not known: the catalogs must be read before anything is concluded.
  bool lacks_servers() const { return lacks_servers_; }
  const Targets& targets() const { return targets_; }

  // One transaction: begin, its chunks, end, and after several of them the end of the run. `filter`: a scan of the journal, in which each target has its own
  // idea of what it already has; nullptr: everything is new to everybody.
  struct ScanFilter {
    std::uint32_t only_target = 0;                              // 0: all, and the signals
    core::XidSnapshot base;                                     // what was taken before
    const std::unordered_set<std::uint64_t>* recent = nullptr;  // and by the ring since
    std::vector<core::XidSnapshot> repeats;                     // messages are said again, but for what all of these contain
  };
  void begin_batch(TimestampTz now, bool is_new);
  // False: the chunk is damaged; what could be read of it is taken.
  bool take_chunk(std::string_view chunk, TimestampTz committed, const ScanFilter* filter);
  // `committed`: 0 if how long it takes says nothing.
  void end_batch(TimestampTz committed);
  // Tells all targets how far the batches went, which those that they owe nothing cannot know: not for each batch, since there
  // may be many targets. Until then they take it that they lack what came since the last run.
  void end_run();

  std::uint64_t position() const { return position_; }
  // No more batches should be taken for now: memory is bounded.
  bool is_full() const { return outbox_.is_full(); }

  // Servers that came back with older data are owed the replay window again. Batches that were taken up to
  // `discarded_until` are in the journal no more. False: it does not reach back far enough.
  bool replay_forgotten(TimestampTz discarded_until);
  // The next target for which the journal must be scanned, or nullptr.
  Target* next_to_scan() const;

  // Drives the targets.
  void advance(TimestampTz now);
  // Sends the messages and writes the errors whose turn has come, each in one transaction. One that fails, or would
  // wait for somebody's lock, is tried again later: deletes go on meanwhile. True: messages were sent.
  bool signal(TimestampTz now);
  bool has_messages() { return !outbox_.empty(); }
  Outbox& outbox() { return outbox_; }
  Gate& gate() { return gate_; }
  const Gate& gate() const { return gate_; }
  ErrorWriter& errors() { return errors_; }

  // Every message and error up to here has been sent.
  std::uint64_t signalled() const { return signalled_; }
  core::XidSnapshot signals_delivered;
  // Every enabled target has acknowledged everything up to `position`, and the signals are sent.
  bool is_delivered(std::uint64_t position) const;

  // The earliest time at which advance() or signal() has something to do.
  TimestampTz deadline(TimestampTz now);
  void publish_status();

 private:
  Target* find(Oid server);
  void take_item(const core::BatchReader::Item& item, const core::BatchHeader& header, TimestampTz committed);
  void owe_key(const core::BatchReader::Item& item, std::uint64_t xid, const ScanFilter* filter);
  void begin_to_owe(Target& target);
  bool is_gone(Oid server);

  journal::Board& board_;
  Targets targets_;              // by number
  std::vector<Target*> owing_;   // something of the batch that is being taken
  Gate gate_;
  Outbox outbox_;
  ErrorWriter errors_;
  ProbeWatch probes_;
  std::uint64_t position_ = 0;
  std::uint64_t signalled_ = 0;
  std::uint64_t targets_set_at_ = 0;    // the position when the targets were last set
  std::vector<std::uint32_t> unknown_;  // servers that batches named and the catalogs did not
  bool lacks_servers_ = false;
  core::CommitTimes commit_times_;  // of what somebody lacks
  core::BatchReader reader_;        // of the chunk that is being taken
  TimestampTz batch_time_ = 0;
  bool is_counted_ = true;  // the batch: not when it comes again
};

}  // namespace cache_invalidate::delivery
