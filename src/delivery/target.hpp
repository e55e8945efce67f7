// Target: one Redis or Valkey, with its own position, back-off and state. It never waits: the worker's loop
// calls it when its socket is ready or its deadline has come. A target that hangs costs the others nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "core/backlog.hpp"
#include "core/backoff.hpp"
#include "core/latency.hpp"
#include "core/snapshot.hpp"
#include "delivery/standing.hpp"
#include "delivery/sweep.hpp"
#include "delivery/target_catalog.hpp"
#include "journal/board.hpp"
#include "redis/connection.hpp"

namespace cache_invalidate::delivery {

class Target {
 public:
  // `status` may be nullptr: then the target is not shown.
  Target(const TargetDefinition& definition, journal::TargetStatus* status);

  Oid server() const { return definition_.server; }
  const TargetDefinition& definition() const { return definition_; }
  bool enabled() const { return options_.enabled; }
  bool is_up() const { return state_ == journal::TargetState::up; }
  // When it last answered; 0: never.
  TimestampTz contact() const { return contact_; }
  const std::string& identity() const { return identity_; }
  void expect_identity(const std::string& identity) { identity_ = identity; }

  // Its definition changed: a new connection, and everything unacknowledged is owed still.
  void redefine(const TargetDefinition& definition);

  // `family`: a glob of everything that the template could give, empty if nobody knows. Beyond max_backlog_keys it is
  // owed instead.
  void owe_key(std::string_view key, std::string_view family, std::uint64_t position, TimestampTz now);
  void owe_pattern(std::string_view glob, std::string_view family, std::uint64_t position, TimestampTz now);
  // Nothing more is owed up to this position.
  void note_position(std::uint64_t position);
  // Keys and patterns that are owed in memory; those of them that are not on their way.
  std::size_t owed() const { return backlog_.size(); }
  std::size_t collected() const { return backlog_.collecting(); }
  // visit(is_pattern, bytes, family) of all that is owed; something may come twice.
  template <typename Visit>
  void for_each_owed(Visit visit) const {
    backlog_.for_each(visit);
  }
  // Widens what is not on its way until at most so many keys are owed.
  void widen_to(std::size_t most_keys);

  // Everything up to here is acknowledged.
  std::uint64_t acknowledged() const { return backlog_.acknowledged(); }
  // Until when messages wait for it.
  TimestampTz waited_until() const;
  // Whether messages wait for its acknowledgement: not when it is down, and not longer than signal_timeout.
  bool is_waited_for(TimestampTz now) const;

  // By hand: nothing is sent until it is resumed, and what it is owed is kept.
  void pause(bool paused);

  // Connects, sends, gives up, as the time has come for it.
  void advance(TimestampTz now);
  void on_socket(bool readable, bool writable, TimestampTz now);

  int fd() const { return connection_ == nullptr ? -1 : connection_->fd(); }
  bool wants_write() const { return connection_->wants_write(); }
  // The next time advance() has something to do; DT_NOEND: only the socket can tell.
  TimestampTz deadline() const;
  // Since the last call the socket may be another one.
  bool take_socket_changed() {
    const bool changed = socket_changed_;
    socket_changed_ = false;
    return changed;
  }

  // It has what `snapshot` contains, and must read the rest from the journal.
  void start_behind(const core::XidSnapshot& snapshot);
  // It must read from the journal what it has not got.
  void fall_behind();
  void attach() { detached_ = false; }
  // The scan that ends that may begin, whether it is up or not.
  bool wants_scan() const { return detached_; }
  bool is_detached() const { return detached_; }
  // What it has acknowledged all of (for watermarks), what it was told all of (for scans of the journal), and
  // the position from which checkpoints speak for it.
  core::XidSnapshot delivered;
  core::XidSnapshot taken;
  std::uint64_t reliable_from = 0;

  Standing standing;
  // It was owed its whole replay window before that left the journal.
  bool presumed_lost = false;
  // Something of the batch that is being taken.
  bool owes_batch = false;

  // How long the batch at `position` takes, from its commit on.
  void begin_latency(std::uint64_t position, TimestampTz committed) { latency_.begin(position, committed); }
  void measure_latency(TimestampTz now) {
    if (status_ != nullptr) latency_.arrived(acknowledged(), now, status_->latency);
  }

  void publish_status();

 private:
  void set_state(journal::TargetState state, const std::string& problem);
  void set_idle_state();
  void connect(TimestampTz now);
  void give_up_connection();
  void keep_within_limit();
  void put_back();
  struct Command {
    enum class Kind { unlink, size, scan, swept } kind;
    std::uint32_t keys;
    std::uint32_t first;  // of the set in flight
  };
  void send_more(TimestampTz now);
  void send_keys();
  Sweep::Prefixes prefixes() const { return {options_.key_prefix, ""}; }
  bool take_reply(const redis::Reply& reply, TimestampTz now);
  bool refuse(const redis::Reply& reply, TimestampTz now);
  bool single_out(const Command& command, const std::string& code);
  bool take_replies(TimestampTz now);
  void fail(const redis::Failure& failure, TimestampTz now);

  TargetDefinition definition_;
  TargetOptions options_;
  std::unique_ptr<redis::Connection> connection_;
  core::Backlog backlog_;
  Sweep sweep_{backlog_.patterns()};
  core::Backoff backoff_;
  journal::TargetStatus* status_;
  journal::TargetState state_ = journal::TargetState::connecting;
  std::string problem_;
  TimestampTz retry_at_ = 0;
  TimestampTz opened_at_ = 0;
  TimestampTz ready_at_ = 0;       // when this connection became ready; 0: it has not
  TimestampTz last_progress_ = 0;
  TimestampTz contact_ = 0;
  std::string identity_;
  TimestampTz owed_since_ = 0;     // when the oldest unacknowledged key arrived
  std::uint32_t next_key_ = 0;     // of the set in flight: the next to send
  std::uint32_t acknowledged_keys_ = 0;
  std::deque<Command> commands_;   // not answered yet
  std::uint64_t counted_bytes_ = 0;
  core::LatencyWatch latency_;
  bool paused_ = false;
  std::uint64_t counted_widened_ = 0;
  bool told_widened_ = false;      // since it owed nothing
  bool detached_ = false;
  bool use_del_ = false;           // a server before 4.0
  bool told_refusal_ = false;      // of a key that a sweep found, over this connection
  bool socket_changed_ = false;
};

}  // namespace cache_invalidate::delivery
