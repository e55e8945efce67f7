#include "capture/transaction.hpp"

#include <algorithm>
#include <string>

#include "capture/foreign_lookup.hpp"
#include "capture/rule_cache.hpp"
#include "capture/trigger_counts.hpp"
#include "capture/vocabulary.hpp"
#include "journal/handover.hpp"
#include "journal/segment.hpp"
#include "journal/shared.hpp"
#include "pg/clock.hpp"
#include "pg/crash_point.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::capture {
namespace {

// Writing early in many small pieces would cost more rows than it saves memory.
constexpr std::uint32_t kLeastSpill = 1024;
constexpr std::size_t kKeptBytes = 256 * 1024;

struct State {
  core::ChangeSet changes;
  core::BatchWriter writer;
  std::string framed;        // for the ring; empty: the worker has to read the journal
  bool is_volatile = false;  // `framed` is in no journal
  bool must_journal = false;
  std::uint64_t xid = 0;
  std::int64_t time = 0;     // of what was written last
  int segment = -1;          // the one this transaction writes to; -1: none yet
  bool spilled = false;      // part of the batch is in the journal only
  bool journalled = false;
};

bool is_used = false;     // something was noted that ends with the transaction
bool is_flushed = false;  // PRE_COMMIT has run

// Never destroyed: the server's exit handlers may still run our callbacks.
State& state() {
  static State* instance = new State();
  return *instance;
}

void reset() noexcept {
  State& own = state();
  own.changes.clear();
  own.framed.clear();
  if (own.framed.capacity() > kKeptBytes) own.framed.shrink_to_fit();
  // After the hand-over, so that whoever sees it gone sees what was handed over.
  if (own.xid != 0) {
    CACHE_INVALIDATE_CRASH_POINT("handover.withdraw", dies);
    journal::withdraw_transaction();
    CACHE_INVALIDATE_CRASH_POINT("handover.withdrawn", dies);
  }
  own.xid = 0;
  own.time = 0;
  own.segment = -1;
  own.spilled = own.journalled = own.is_volatile = own.must_journal = false;
  forget_found();
  forget_counts();
  end_rules_of_transaction();
  is_used = false;
}

// Encodes what was added from item `from` on. `part`: there is more of this transaction. False: nothing of it is owed to
// anybody, or the extension is being dropped by this very transaction.
bool encode(std::uint32_t from, bool part) {
  State& own = state();
  const core::Vocabulary* vocabulary = resolved_vocabulary();
  if (vocabulary == nullptr) return false;
  own.xid = U64FromFullTransactionId(GetTopFullTransactionId());
  // Later than the part before, whatever the clock says: the worker folds parts in this order.
  own.time = std::max(own.time + 1, pg::unix_microseconds(GetCurrentTimestamp()));
  CACHE_INVALIDATE_CRASH_POINT("batch.encode", fails);
  own.writer.begin({own.xid, own.time, part}, *vocabulary);
  own.changes.write(own.writer, from);
  CACHE_INVALIDATE_CRASH_POINT("batch.encoded", fails);
  return !own.writer.chunk_ends().empty();
}

enum class Appended {
  done,
  gone,    // the extension is
  renewed  // it is another one since the servers were named, and the lock is on what the former one had
};

// What was encoded.
Appended append_to_journal() {
  State& own = state();
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr) return Appended::gone;
  const Oid locked = extension->oid;
  const int segment = journal::lock_for_append(*extension, own.segment);
  extension = pg::extension();
  if (extension == nullptr) return Appended::gone;
  if (extension->oid != locked) return Appended::renewed;
  CACHE_INVALIDATE_CRASH_POINT("journal.announce", fails);
  journal::announce_transaction(own.xid);
  CACHE_INVALIDATE_CRASH_POINT("journal.announced", fails);
  if (!journal::append(*extension, segment, own.writer.bytes(), own.writer.chunk_ends())) return Appended::gone;
  own.segment = segment;
  CACHE_INVALIDATE_CRASH_POINT("journal.appended", fails);
  return Appended::done;
}

void spill() {
  State& own = state();
  const std::uint32_t from = own.changes.start_of(GetCurrentTransactionNestLevel());
  if (from == own.changes.size()) return;
  CACHE_INVALIDATE_CRASH_POINT("spill", fails);
  Appended appended = Appended::renewed;
  while (appended == Appended::renewed && encode(from, true)) appended = append_to_journal();
  if (appended == Appended::done) own.spilled = own.journalled = true;
  CACHE_INVALIDATE_CRASH_POINT("spill.written", fails);
  own.changes.forget(from);
  CACHE_INVALIDATE_CRASH_POINT("spill.done", fails);
}

bool may_be_volatile() {
  const State& own = state();
  return !own.spilled && !own.must_journal && (settings::durability == settings::kDurabilityOff || journal::is_journal_full());
}

void flush(bool prepares) {
  State& own = state();
  // The last part says when the transaction began to commit, even if nothing is left to write.
  const bool has_part = own.spilled || !own.changes.empty();
  Appended appended = Appended::renewed;
  while (has_part && appended == Appended::renewed && encode(0, own.spilled)) {
    if (!own.spilled) core::frame_chunks(own.framed, own.writer.bytes(), own.writer.chunk_ends());
    own.is_volatile = !prepares && may_be_volatile() && journal::prepare_volatile_handover(own.xid, own.framed.size());
    if (own.is_volatile) break;
    appended = append_to_journal();
    if (appended == Appended::done) own.journalled = true;
  }
  if (own.journalled || has_counts()) {
    journal::prepare_handover();
    CACHE_INVALIDATE_CRASH_POINT("commit.flushed", fails);
  }
}

void deliver(journal::HandoverKind kind) noexcept {
  State& own = state();
  if (own.is_volatile) {
    CACHE_INVALIDATE_CRASH_POINT("ring_only.handover", dies);
    journal::hand_over(journal::HandoverKind::volatile_batch, own.xid, 0, own.framed);
    CACHE_INVALIDATE_CRASH_POINT("ring_only.handed_over", dies);
  }
  if (own.journalled) {
    CACHE_INVALIDATE_CRASH_POINT("handover", dies);
    journal::hand_over(kind, own.xid, static_cast<std::uint32_t>(own.segment), own.spilled ? std::string_view() : std::string_view(own.framed));
    CACHE_INVALIDATE_CRASH_POINT("handover.done", dies);
  }
  publish_counts(own.changes);
  const bool has_handed_over = own.is_volatile || own.journalled;
  reset();
  if (has_handed_over) journal::end_handover();
}

void on_transaction(XactEvent event, void* /*argument*/) {
  // Even if nothing was noted so far: the callbacks of others, which run later, may change rows.
  is_flushed = event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE;
  if (!is_used) return;
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
      flush(false);
      break;
    case XACT_EVENT_PRE_PREPARE:
      CACHE_INVALIDATE_CRASH_POINT("prepare.flush", fails);
      flush(true);
      CACHE_INVALIDATE_CRASH_POINT("prepare.flushed", fails);
      break;
    case XACT_EVENT_COMMIT:
      deliver(journal::HandoverKind::batch);
      break;
    case XACT_EVENT_PREPARE:
      CACHE_INVALIDATE_CRASH_POINT("prepare.handover", dies);
      deliver(journal::HandoverKind::prepared);
      CACHE_INVALIDATE_CRASH_POINT("prepare.done", dies);
      break;
    case XACT_EVENT_ABORT:
      CACHE_INVALIDATE_CRASH_POINT("abort", dies);
      reset();
      break;
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
      break;  // parallel workers change no rows
  }
}

void on_savepoint(SubXactEvent event, SubTransactionId /*own*/, SubTransactionId /*parent*/, void* /*argument*/) {
  if (!is_used) return;
  switch (event) {
    case SUBXACT_EVENT_ABORT_SUB:
      CACHE_INVALIDATE_CRASH_POINT("savepoint.rollback", dies);
      state().changes.rollback(GetCurrentTransactionNestLevel());
      rollback_counts(GetCurrentTransactionNestLevel());
      forget_found();
      break;
    case SUBXACT_EVENT_COMMIT_SUB:
      CACHE_INVALIDATE_CRASH_POINT("savepoint.release", dies);
      state().changes.release(GetCurrentTransactionNestLevel());
      release_counts(GetCurrentTransactionNestLevel());
      break;
    case SUBXACT_EVENT_START_SUB:
    case SUBXACT_EVENT_PRE_COMMIT_SUB:
      break;
  }
}

}  // namespace

void note_use() noexcept { is_used = true; }

core::ChangeSet& changes() {
  note_use();
  return state().changes;
}

void require_journal() noexcept {
  note_use();
  state().must_journal = true;
}

void changes_added() {
  State& own = state();
  if (is_flushed) {
    spill();
    return;
  }
  const std::size_t limit = static_cast<std::size_t>(settings::max_change_set_memory) * 1024;
  const std::size_t memory = own.changes.memory();
  if (memory <= limit) return;
  if (memory > 2 * limit || own.changes.size() - own.changes.start_of(GetCurrentTransactionNestLevel()) >= kLeastSpill) spill();
}

void watch_transactions() {
  RegisterXactCallback(pg::Entry<&on_transaction>::call, nullptr);
  RegisterSubXactCallback(pg::Entry<&on_savepoint>::call, nullptr);
}

}  // namespace cache_invalidate::capture
