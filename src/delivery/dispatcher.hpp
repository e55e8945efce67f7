// Dispatcher: takes batches in the worker's order of consumption, owes their keys to the targets, and sends
// their messages when the caches are clean: caches first, signals second.
//
// A position is a number in that order: one a transaction. What it says of a target ("acknowledged up to")
// and of the signals ("sent up to") is what truncation and watermarks go by.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/backoff.hpp"
#include "core/message_queue.hpp"
#include "delivery/target.hpp"
#include "journal/board.hpp"

namespace cache_invalidate::delivery {

class Dispatcher {
 public:
  explicit Dispatcher(journal::Board& board) : board_(board) {}

  // Makes the targets what the definitions say; what is owed to those that stay is still owed. Those that are new,
  // or enabled again, have everything of `base` and read the rest from the journal: batches that name them may
  // have been taken before they were known.
  void set_targets(const std::vector<TargetDefinition>& definitions, const core::XidSnapshot& base);
  // A batch named a server that is not known: the catalogs must be read before anything is concluded.
  bool lacks_servers() const { return lacks_servers_; }
  const std::vector<std::unique_ptr<Target>>& targets() const { return targets_; }

  // One transaction: begin, its chunks, end. `filter`: a scan of the journal, in which each target has its own
  // idea of what it already has; nullptr: everything is new to everybody.
  struct ScanFilter {
    std::uint32_t only_target = 0;                   // 0: all, and the signals
    core::XidSnapshot signals;                       // what messages and errors were sent for
    const std::vector<std::uint64_t>* recent = nullptr;  // sorted: transactions consumed since
  };
  void begin_batch(TimestampTz now);
  // False: the chunk is damaged; what could be read of it is taken.
  bool take_chunk(std::string_view chunk, TimestampTz committed, const ScanFilter* filter);
  void end_batch();

  std::uint64_t position() const { return position_; }
  // No more batches should be taken for now: memory is bounded.
  bool is_full() const { return waiting_count() >= kMostWaiting || waiting_bytes() >= kMostWaitingBytes; }

  // Drives the targets.
  void advance(TimestampTz now);
  // Sends the messages and writes the errors whose turn has come, each in one transaction. One that fails, or would
  // wait for somebody's lock, is tried again later: deletes go on meanwhile. True: messages were sent.
  bool signal(TimestampTz now);
  // Messages are held while a scan of the journal runs, and sorted and folded when it is done. If too many wait, the
  // oldest leave earlier.
  void hold_signals(bool hold);

  bool has_messages() { return !messages_.empty(); }

  // Every message and error up to here has been sent.
  std::uint64_t signalled() const { return signalled_; }
  core::XidSnapshot signals_delivered;
  // Every enabled target has acknowledged everything up to `position`, and the signals are sent.
  bool is_delivered(std::uint64_t position) const;

  // The earliest time at which advance() or signal() has something to do.
  TimestampTz deadline(TimestampTz now);
  void publish_status();

 private:
  struct LoggedError {
    std::string table, operation, message, context;
    std::uint64_t position;
    std::int64_t time;
    std::size_t text_size() const { return table.size() + operation.size() + message.size() + context.size(); }
  };
  struct Probe {
    std::uint64_t id;
    std::uint64_t position;
  };
  static constexpr std::size_t kMostWaiting = 100000;
  static constexpr std::size_t kMostWaitingBytes = 64 * 1024 * 1024;

  std::size_t waiting_count() const { return messages_.size() + sending_.size() + errors_.size(); }
  std::size_t waiting_bytes() const { return messages_.bytes() + sending_bytes_ + errors_bytes_; }

  Target* find(Oid server);
  void owe_key(const core::BatchReader::Item& item, std::uint64_t xid, const ScanFilter* filter);
  bool is_gone(Oid server);
  bool is_repeated(const core::ErrorRecord& error);
  void start_probe(std::string_view bytes, TimestampTz committed);
  void advance_probes(TimestampTz now);
  std::uint64_t gate(TimestampTz now) const;
  bool signals_are_due(TimestampTz now) const;
  TimestampTz gate_opens(TimestampTz now) const;
  std::uint64_t oldest_unsent();
  bool send_messages(std::uint64_t up_to, TimestampTz now);
  void write_errors(TimestampTz now);

  journal::Board& board_;
  std::vector<std::unique_ptr<Target>> targets_;
  core::MessageQueue messages_;
  std::vector<core::MessageQueue::Waiting> sending_;  // taken from the queue, not yet committed
  std::size_t sending_bytes_ = 0;
  std::vector<LoggedError> errors_;
  std::size_t errors_bytes_ = 0;
  int failed_writes_ = 0;                // of errors_, in a row
  core::Backoff signals_backoff_;
  TimestampTz signals_retry_at_ = 0;
  core::Backoff errors_backoff_;
  TimestampTz errors_retry_at_ = 0;
  std::unordered_map<std::string, TimestampTz> logged_;  // when each error was last written
  std::vector<Probe> probes_;
  std::uint64_t position_ = 0;
  std::uint64_t signalled_ = 0;
  std::vector<std::uint32_t> unknown_;   // servers that batches named and the catalogs did not
  bool lacks_servers_ = false;
  TimestampTz batch_time_ = 0;
  TimestampTz waiting_since_ = 0;  // the oldest unsent message or error
  bool held_ = false;
};

}  // namespace cache_invalidate::delivery
