// Board: what one database's worker shares with the backends of that database: the ring, the counters, the
// state of each target, and the answers to end-to-end tests. It lives in a dynamic shared memory segment that
// the worker makes, so that a database without the extension has none.
#pragma once

#include <cstdint>

#include "core/latency.hpp"
#include "journal/ring.hpp"
#include "journal/shared.hpp"
#include "journal/trigger_table.hpp"

namespace cache_invalidate::journal {

inline constexpr int kMaxTargets = 64;   // of one database; more are delivered to, but not shown
inline constexpr int kMaxProbes = 8;

struct Counters {
  pg_atomic_uint64 batches;      // transactions taken from the ring or the journal
  pg_atomic_uint64 keys;         // keys they named
  pg_atomic_uint64 patterns;     // patterns they named
  pg_atomic_uint64 messages;     // messages they named
  pg_atomic_uint64 notified;     // NOTIFYs sent
  pg_atomic_uint64 journal_scans;
  pg_atomic_uint64 truncations;  // of journal segments
  pg_atomic_uint64 errors;       // rows written to trigger_error_log
  pg_atomic_uint64 compactions;  // of the journal: what was owed was copied forward
  pg_atomic_uint64 resets;       // written by the transactions that reset
};

inline constexpr std::uint64_t kUnknown = ~std::uint64_t{0};

// What keeps the segment of the journal that is not active from being truncated.
enum class JournalHold : std::uint32_t {
  none,
  reading,        // a scan runs
  target,         // what it is owed
  messages,       // that could not be sent yet
  replay_window,
  transaction     // somebody has it locked
};

enum class TargetState : std::uint32_t { down, connecting, up, disabled, paused };

struct TargetStatus {
  Oid server;                    // InvalidOid: unused
  TargetState state;
  pg_atomic_uint64 keys;         // acknowledged keys
  pg_atomic_uint64 commands;
  pg_atomic_uint64 bytes;        // sent
  pg_atomic_uint64 connects;     // successful ones
  pg_atomic_uint64 failures;     // connections lost or refused
  pg_atomic_uint64 published;    // messages
  pg_atomic_uint64 pending;      // keys owed in memory
  pg_atomic_uint64 patterns_pending;
  pg_atomic_uint64 sweep_scanned;  // keys looked at for patterns, about; kUnknown: none is looked for
  pg_atomic_uint64 sweep_total;    // of so many; kUnknown
  pg_atomic_uint64 widened;      // families of keys, to patterns
  bool reads_journal;            // what it is owed is being looked for in the journal
  TimestampTz changed;           // of `state`
  TimestampTz acknowledged;      // last acknowledgement
  TimestampTz oldest_owed;       // when the oldest batch that it has not acknowledged was committed; 0: there is none
  pg_atomic_uint64 batches_owed;
  core::Histogram latency;       // from commit to acknowledgement
  char problem[256];             // why it is not up, in UTF-8, perhaps cut; never a secret
  char cure[256];                // what a person can do about it; may be empty
  pg_atomic_uint64 retried;      // commands that were not answered and are sent again
};

// One end-to-end test: which targets have acknowledged it, and when.
struct ProbeStatus {
  std::uint64_t id;              // 0: unused
  TimestampTz reserved;
  TimestampTz committed;
  TimestampTz notified;          // 0: not yet
  struct {
    Oid server;
    TimestampTz acknowledged;
  } target[kMaxTargets];
};

struct Board {
  slock_t lock;                  // of target[] and probe[], not of their counters
  ConditionVariable probes_changed;
  TimestampTz since;
  TimestampTz last_delivery;
  std::uint64_t journal_bytes;   // both segments, at the last look
  JournalHold journal_hold;
  Oid journal_hold_server;       // if it is a target
  bool journal_full;             // at its limit: changes go by the ring only
  bool notify_held;              // its queue is too full
  TimestampTz last_cycle;        // when the worker last looked at what there is to do
  TimestampTz oldest_message;    // when the oldest batch whose messages have not left was committed; 0: there is none
  pg_atomic_uint64 batches_unsaid;
  pg_atomic_uint64 ring_overflows;  // batches that the worker had to look for in the journal
  TimestampTz ring_overflowed;      // the last time
  Counters counters;
  core::Histogram latency;       // from commit to NOTIFY
  TargetStatus target[kMaxTargets];
  ProbeStatus probe[kMaxProbes];
  Size ring_offset;
  TriggerTable triggers;
  pg_atomic_uint32 clear_wanted; // statistics shall be cleared: how often that was asked for,
  pg_atomic_uint32 clear_done;   // and up to which of these it is done
  ConditionVariable cleared;

  Ring* ring() { return reinterpret_cast<Ring*>(reinterpret_cast<char*>(this) + ring_offset); }
};

// Worker: the board of this database, made anew if there is none. May raise an error.
Board* create_board(DatabaseSlot& slot);

// Worker, when the extension is gone: gives the memory back once nobody is attached.
void drop_board(DatabaseSlot& slot);

// The counters, the latencies and the triggers begin anew. By the worker, which adds to latencies while nobody looks; or by
// anybody, while there is none.
void clear_statistics(Board& board);

// Worker: if somebody has asked for it.
void clear_statistics_if_wanted(Board& board);

// Any backend: the board of this database, attached on the first call and again when it was replaced;
// nullptr when there is none. May raise an error.
Board* attach_board();

// What attach_board() last returned, if it is still the one of this database. Never fails.
Board* attached_board();

}  // namespace cache_invalidate::journal
