// Target: one Redis or Valkey, with its own position, back-off and state. It never waits: the worker's loop
// calls it when its socket is ready or its deadline has come. A target that hangs costs the others nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/backlog.hpp"
#include "core/backoff.hpp"
#include "core/latency.hpp"
#include "core/open_positions.hpp"
#include "core/second_deletes.hpp"
#include "core/snapshot.hpp"
#include "delivery/standing.hpp"
#include "delivery/sweep.hpp"
#include "delivery/target_catalog.hpp"
#include "journal/board.hpp"
#include "redis/connection.hpp"
#include "redis/identity.hpp"

namespace cache_invalidate::delivery {

class Target {
 public:
  // `status` may be nullptr: then the target is not shown.
  Target(const TargetDefinition& definition, journal::TargetStatus* status);

  Oid server() const { return definition_.server; }
  const TargetDefinition& definition() const { return definition_; }
  bool enabled() const { return options_.enabled; }
  bool is_up() const { return state_ == journal::TargetState::up; }
  bool is_down() const { return state_ == journal::TargetState::down; }
  bool is_paused() const { return paused_; }
  // When it last answered as the server it was known to be; 0: never. Stands still until take_forgot() was asked.
  TimestampTz contact() const { return watch_.contact(); }
  // Of the server last spoken to: "run_id master_replid role", or "": none yet, or it does not tell.
  const std::string& identity() const { return watch_.identity(); }
  // At the worker's start, what the last one knew. "": the first identity is taken without suspicion.
  void expect_identity(std::string identity) { watch_.expect(std::move(identity)); }
  // Once after it was found to be another server than the one known, or, where it does not tell, was connected to again:
  // keys that were deleted may be back.
  bool take_forgot() { return watch_.take_forgot(); }

  // Its definition changed: a new connection, and everything unacknowledged is owed still.
  void redefine(const TargetDefinition& definition);
  // Asks it who it is before long: whoever has to know that it is still the one it was, cannot wait for the next check.
  void check_soon() { health_due_ = 0; }
  // Somebody may have put right what keeps it down: tries at once.
  void retry_now();

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
  // As acknowledged(), and second deletes are done as well.
  std::uint64_t settled() const { return second_patterns_.settled(second_keys_.settled(acknowledged())); }
  // Nothing up to this position is needed for it any more.
  bool is_done(std::uint64_t position) const {
    return !options_.enabled || (!detached_ && !standing.owes_messages && settled() >= position);
  }
  // Until when messages wait for it.
  TimestampTz waited_until() const;
  // Whether messages wait for its acknowledgement: not when it is down, and not longer than signal_timeout.
  bool is_waited_for(TimestampTz now) const;

  // Has a channel for messages.
  bool publishes() const { return options_.enabled && !options_.publish_channel.empty(); }
  // When the turn of the message has come. False: it cannot be sent now, its subscribers have lost it, and
  // take_lost_messages() will say so.
  bool publish(const core::Message& message, std::string_view payload, std::uint64_t position);
  // All messages given up to this position were answered or lost; UINT64_MAX: none is on its way. It may fall.
  std::uint64_t published() const {
    return open_publishes_.size() == 0 ? core::OpenPositions::kNone : open_publishes_.smallest() - 1;
  }
  // So many are on their way that more would soon be lost.
  bool is_clogged() const;
  // Since the last call a message could not be sent, or its connection was lost before the answer.
  bool take_lost_messages() { return std::exchange(lost_messages_, false); }

  // By hand: nothing is sent until it is resumed, and what it is owed is kept.
  void pause(bool paused);

  // Connects, sends, gives up, as the time has come for it.
  void advance(TimestampTz now);
  void on_socket(bool readable, bool writable, TimestampTz now);

  int fd() const { return connection_ == nullptr ? -1 : connection_->fd(); }
  bool wants_write() const { return connection_->wants_write(); }
  // Keys wait until those that were sent before are acknowledged.
  bool has_more_behind_answers() const { return keys_in_flight(false) > 0 && backlog_.keys().collecting() > 0; }
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
  // Something of the batch that is being taken, and so is among those that the dispatcher ends it for.
  bool owes_batch = false;

  // How long the batch at `position` takes, from its commit on.
  void begin_latency(std::uint64_t position, TimestampTz committed) { latency_.begin(position, committed); }
  void measure_latency(TimestampTz now) {
    if (status_ != nullptr) latency_.arrived(acknowledged(), now, status_->latency);
  }

  // `oldest_owed`: when the oldest of the `batches` that it has not acknowledged was committed; 0: it has all.
  void publish_status(TimestampTz oldest_owed, std::uint64_t batches);

 private:
  void set_state(journal::TargetState state, const std::string& problem, const std::string& cure = {});
  void set_idle_state();
  void log_down(const std::string& cure);
  void note_trouble(const std::string& problem, const char* cure);
  void connect(TimestampTz now);
  void note_ready(TimestampTz now);
  void note_identity(bool is_another);
  void ask_health(TimestampTz now);
  void give_up_connection();
  void keep_within_limit();
  void put_back();
  struct Command {
    enum class Kind { unlink, size, scan, swept, publish, ping, info_server, info_replication } kind;
    std::uint32_t keys = 0;
    std::uint32_t first = 0;  // of the set in flight
    bool second = false;      // of the second deletes
    bool used_del = false;    // instead of UNLINK
  };
  // How far a set in flight has got.
  struct Flight {
    std::uint32_t next = 0;  // to send
    std::uint32_t acknowledged = 0;
  };
  enum class Refusal { fatal, sent_again, given_up };
  void put_off_sweep(const Command& command, const redis::Reply& reply, TimestampTz now);
  void send_more(TimestampTz now);
  void send_keys(bool second);
  void send_sweep(bool second);
  void send_second_deletes(TimestampTz now);
  void repeat_keys(TimestampTz now);
  void repeat_patterns(TimestampTz now);
  void add_second_pattern(std::string_view glob);
  void append_keys(bool second, std::uint32_t first, std::uint32_t count);
  std::string_view key(const Command& command, std::uint32_t index) const {
    return command.second ? second_keys_.key(command.first + index) : backlog_.keys().key(command.first + index);
  }
  std::uint32_t keys_in_flight(bool second) const {
    return second ? second_keys_.in_flight() : static_cast<std::uint32_t>(backlog_.keys().in_flight());
  }
  Sweep& sweep_of(const Command& command) { return command.second ? second_sweep_ : sweep_; }
  Sweep::Prefixes prefixes() const { return {options_.key_prefix, options_.lease_prefix}; }
  bool take_replies(TimestampTz now);
  bool take_reply(const redis::Reply& reply, TimestampTz now);
  bool take_answer(const Command& command, const redis::Reply& reply, TimestampTz now);
  bool take_health(const redis::Reply& reply, TimestampTz now);
  bool take_published(const redis::Reply& reply, TimestampTz now);
  void note_of_use();
  bool has_proved(TimestampTz now) const;
  void note_acknowledged(const Command& command, TimestampTz now);
  Refusal refuse(const redis::Reply& reply, TimestampTz now);
  void send_again(const Command& command, std::uint32_t keys_per_command);
  void fail_command(const Command& command, const redis::Reply& reply, TimestampTz now);
  void lose_publishes();
  void fail(const redis::Failure& failure, TimestampTz now);

  TargetDefinition definition_;
  TargetOptions options_;
  std::unique_ptr<redis::Connection> connection_;
  core::Backlog backlog_;
  Sweep sweep_{backlog_.patterns()};
  core::SecondDeletes second_keys_;
  core::SecondDeletes second_patterns_;     // the set on its way is owed to second_sweep_
  core::PendingPatterns repeated_patterns_;
  Sweep second_sweep_{repeated_patterns_};
  std::vector<std::string> swept_;          // the patterns of the pass that runs, to be repeated
  std::uint64_t settled_before_sweep_ = 0;
  core::OpenPositions open_publishes_;
  std::deque<std::size_t> publish_sizes_;
  std::size_t publish_bytes_ = 0;
  bool lost_messages_ = false;
  redis::IdentityWatch watch_;
  std::string info_server_;                 // of the health check that is being answered
  TimestampTz health_due_ = 0;
  core::Backoff backoff_;
  journal::TargetStatus* status_;
  journal::TargetState state_ = journal::TargetState::connecting;
  std::string problem_;
  std::vector<std::string> told_;  // problems that were logged in this outage
  TimestampTz told_at_ = 0;        // the last of them
  bool said_down_ = false;         // the log's last word is that it is down
  TimestampTz sweep_after_ = 0;    // SCAN was refused: not before
  bool refuses_scan_ = false;      // the last one was
  std::string trouble_;            // that was last noted while it is up
  TimestampTz retry_at_ = 0;
  TimestampTz opened_at_ = 0;
  TimestampTz ready_at_ = 0;       // when this connection became ready; 0: it has not
  TimestampTz last_progress_ = 0;
  TimestampTz owed_since_ = 0;     // when the oldest unacknowledged key arrived
  TimestampTz stalled_since_ = 0;  // since when something is owed and acknowledged() stands still
  Flight flight_;
  Flight second_flight_;
  std::deque<Command> commands_;   // not answered yet
  std::uint64_t counted_bytes_ = 0;
  core::LatencyWatch latency_;
  bool paused_ = false;
  std::uint64_t counted_widened_ = 0;
  bool told_widened_ = false;      // since it owed nothing
  bool detached_ = false;
  bool use_del_ = false;           // a server before 4.0
  bool is_doubted_ = false;        // it took connections but was of no use: not up before it is
  bool socket_changed_ = false;
};

}  // namespace cache_invalidate::delivery
