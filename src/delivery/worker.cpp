#include "delivery/worker.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "capture/reset.hpp"
#include "core/pace.hpp"
#include "delivery/pauses.hpp"
#include "delivery/progress.hpp"
#include "delivery/ring_only.hpp"
#include "delivery/segment_keeper.hpp"
#include "delivery/signals.hpp"
#include "delivery/time_slice.hpp"
#include "delivery/transactions.hpp"
#include "delivery/waiter.hpp"
#include "delivery/worker_sight.hpp"
#include "delivery/worker_slot.hpp"
#include "journal/scan.hpp"
#include "pg/background.hpp"
#include "pg/crash_point.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kTick = 1000000;
constexpr TimestampTz kLongestFarewell = 800000;
constexpr long kFarewellStep = 20;  // milliseconds
constexpr TimestampTz kHandoverCheck = 10000;  // of who was to hand over, and may have failed to commit
constexpr TimestampTz kSweep = 30 * 1000000L;  // the net under every wake-up that may have been lost

// Everything the worker has, reached by one pointer: an error ends the process, destructors or not.
struct Worker {
  journal::DatabaseSlot* slot;
  journal::Board* board;
  Oid role;               // that it connected as; InvalidOid: it runs as the extension's owner
  std::string role_name;  // as the setting has it
  Oid extension;
  std::unique_ptr<Dispatcher> dispatcher;
  std::unique_ptr<Feed> feed;
  std::unique_ptr<Progress> progress;
  std::unique_ptr<SegmentKeeper> segments;
  Waiter waiter;
  std::unique_ptr<RingOnly> ring_only;
  Presence presence;
  std::vector<TargetDefinition> definitions;
  core::XidSnapshot definitions_at;  // taken before they were read
  Pauses pauses;
  TimestampTz next_sweep = 0;
  TimestampTz next_tick = 0;
  core::Pace pace;
};
Worker* worker = nullptr;

// What ALTER DATABASE or ALTER ROLE may have set and would hinder or endanger a worker. "replica" keeps
// ordinary triggers from firing: nobody's code runs here.
void pin_settings() {
  const std::pair<const char*, const char*> pins[] = {
      {"search_path", "pg_catalog, pg_temp"},
      {"default_transaction_isolation", "read committed"},
      {"default_transaction_read_only", "off"},
      {"default_transaction_deferrable", "off"},
      {"lock_timeout", "0"},
      {"statement_timeout", "0"},
      {"idle_in_transaction_session_timeout", "0"},
      {"session_replication_role", "replica"},
      {"synchronous_commit", "off"},
      {"cache_invalidate.enabled", "off"},
  };
  for (const auto& [name, value] : pins) SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

[[noreturn]] void leave_for_good() {
  AbortCurrentTransaction();
  set_slot_state(*worker->slot, journal::WorkerState::absent);
  journal::drop_board(*worker->slot);
  proc_exit(0);
}

// Servers, mappings or the extension may have changed.
void read_catalogs(TimestampTz now) {
  worker->next_sweep = now + kSweep;
  const WorkerTransaction transaction("reading servers");
  const pg::Extension& extension = transaction.extension();
  if (extension.oid != worker->extension) {
    ereport(LOG, (errmsg("cache_invalidate: the extension was created anew, restarting the worker")));
    journal::request_probe(MyDatabaseId);
    proc_exit(0);
  }
  core::XidSnapshot now_read = journal::take_snapshot();
  // Older than the base, so no less than that holds for it.
  now_read.written_before = worker->feed->base().written_before;
  read_targets(extension, worker->definitions);
  const bool is_locked = !read_pauses(extension, worker->pauses);
  transaction.commit();
  CACHE_INVALIDATE_CRASH_POINT("worker.catalogs.read", fails);
  // What names a server that was not known then has committed since.
  if (!worker->dispatcher->set_targets(worker->definitions, worker->definitions_at)) {
    worker->ring_only->note_loss("a server was enabled while changes were in no journal");
  }
  worker->definitions_at = now_read;
  worker->dispatcher->pause(worker->pauses);
  if (is_locked) worker->next_sweep = now + kTick;
}

// The launcher starts it again, at once.
[[noreturn]] void step_aside() {
  set_slot_state(*worker->slot, journal::WorkerState::held);
  proc_exit(0);
}

// The launcher may have read the settings before us.
bool is_right_role() {
  const char* name = settings::worker_role;
  return name[0] == '\0' ? !OidIsValid(worker->role) : OidIsValid(worker->role) && get_role_oid(name, true) == worker->role;
}

void start() {
  {
    StartTransactionCommand();
    const pg::Extension* extension = pg::extension();
    if (extension == nullptr) throw ExtensionGone();
    worker->extension = extension->oid;
    worker->role_name = settings::worker_role;
    if (!is_right_role()) step_aside();
    const Oid owner = extension->owner;
    const char* database = get_database_name(MyDatabaseId);
    ereport(LOG, (errmsg("cache_invalidate: worker for database \"%s\" started", database)));
    Presence::begin(psprintf("cache_invalidate worker %s", database));
    worker->board = journal::create_board(*worker->slot);
    CACHE_INVALIDATE_CRASH_POINT("worker.board", fails);
    if (!OidIsValid(worker->role)) pg::set_session_role(owner);
    CommitTransactionCommand();
  }
  worker->dispatcher = std::make_unique<Dispatcher>(*worker->board);
  worker->feed = std::make_unique<Feed>(*worker->slot, *worker->board, *worker->dispatcher);
  worker->progress = std::make_unique<Progress>(*worker->slot, *worker->board, *worker->dispatcher, *worker->feed);
  worker->segments =
      std::make_unique<SegmentKeeper>(*worker->slot, *worker->board, *worker->dispatcher, *worker->feed, *worker->progress);
  worker->ring_only = std::make_unique<RingOnly>(*worker->slot, *worker->board, *worker->dispatcher, *worker->progress);
  read_catalogs(GetCurrentTimestamp());
  CACHE_INVALIDATE_CRASH_POINT("worker.catalogs", fails);
  worker->progress->load();
  worker->ring_only->start();
  CACHE_INVALIDATE_CRASH_POINT("worker.watermark", fails);
  const WorkerTransaction transaction("reading the journal");
  CACHE_INVALIDATE_CRASH_POINT("worker.scan", fails);
  worker->feed->begin_full_scan(transaction.extension());
  transaction.commit();
}

// Asked in every cycle, and the writers look at what lies beside it: it is only written if need be.
bool take_catalog_change() {
  return pg_atomic_read_u32(&worker->slot->catalog_changed) != 0 && pg_atomic_exchange_u32(&worker->slot->catalog_changed, 0) != 0;
}

// What cannot be told is made up for: everything is stale. A reset is a batch like others, made by the worker itself.
void make_resets() {
  Outbox& outbox = worker->dispatcher->outbox();
  const char* loss = worker->ring_only->loss();
  if (loss == nullptr && !outbox.may_reset()) return;
  const WorkerTransaction transaction("resetting caches");
  CACHE_INVALIDATE_CRASH_POINT("reset", fails);
  const char* reason = loss != nullptr ? loss : "messages could not be sent";
  pg::guarded([&] { capture::note_reset(reason, loss != nullptr ? capture::Reset::everything : capture::Reset::messages); });
  CACHE_INVALIDATE_CRASH_POINT("reset.noted", fails);
  transaction.commit();
  CACHE_INVALIDATE_CRASH_POINT("reset.committed", fails);
  ereport(LOG, (errmsg("cache_invalidate: reset: %s", reason)));
  if (loss != nullptr) worker->ring_only->note_reset();
  if (outbox.may_reset()) outbox.reset_due = false;
  CACHE_INVALIDATE_CRASH_POINT("reset.done", fails);
}

// A server that came back with older data than it had.
void replay_forgotten() {
  if (worker->dispatcher->replay_forgotten(worker->progress->discarded_until())) return;
  worker->ring_only->note_loss("a server came back with older data than the journal reaches back to");
}

// Before the worker ends, so that a restart repeats nothing. What is in no journal is delivered, if that goes quickly, or
// written there.
//
// Who wants it to end must not end it here. Interrupts are not held for that: a lock is given up after its time by one, and an
// error that is caught lets go of all that are held.
void finish(TimestampTz now) {
  pqsignal(SIGTERM, SIG_IGN);
  const bool dies = std::exchange(ProcDiePending, 0) != 0;
  if (worker->ring_only->is_in_use()) {
    worker->ring_only->forbid();
    const TimestampTz end = now + kLongestFarewell;
    const auto is_done = [] {
      return worker->ring_only->is_quiet() && worker->board->ring()->used() == 0 &&
             worker->dispatcher->is_delivered(worker->dispatcher->position());
    };
    // What is older and was not taken the next worker reads in the journal, so it tells what came behind that as well.
    const auto signals = [&now] { return worker->feed->look_for_older(now) == Feed::Older::nothing && worker->dispatcher->signal(now); };
    for (; !is_done() && now < end; now = GetCurrentTimestamp()) {
      worker->feed->drain_ring(now);
      worker->dispatcher->advance(now);
      signals();
      worker->waiter.wait(worker->dispatcher->targets(), kFarewellStep);
    }
    worker->dispatcher->gate().open();
    while (signals()) {
    }
    if (worker->ring_only->is_quiet() && worker->board->ring()->used() == 0) {
      if (!is_done()) worker->segments->bequeath(now);
      worker->ring_only->take_back();
    }
  }
  CACHE_INVALIDATE_CRASH_POINT("worker.finish", dies);
  replay_forgotten();
  worker->dispatcher->errors().finish();
  worker->progress->finish(now);
  CACHE_INVALIDATE_CRASH_POINT("worker.finished", dies);
  pqsignal(SIGTERM, die);
  if (!dies) return;
  ProcDiePending = 1;
  InterruptPending = 1;
}

void handle_requests(TimestampTz now) {
  if (ProcDiePending) finish(now);
  CHECK_FOR_INTERRUPTS();
  if (ConfigReloadPending) {
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
    for (const auto& target : worker->dispatcher->targets()) target->retry_now();
    worker->dispatcher->errors().tidy_soon();
    worker->next_tick = now;  // a window that is shorter now may keep the journal no longer
    if (worker->role_name != settings::worker_role) {
      finish(now);
      step_aside();
    }
  }
  if (worker->slot->holds > 0) {
    finish(now);
    step_aside();
  }
  if (take_catalog_change() || now >= worker->next_sweep) read_catalogs(now);
  journal::clear_statistics_if_wanted(*worker->board);
}

// What is remembered of deliveries, and the journal's space: about once a second while there is something new.
void keep_books(TimestampTz now) {
  worker->progress->run();
  if (!worker->progress->is_settled()) worker->next_tick = std::min(worker->next_tick, now + kTick);
  worker->segments->watch(now);
  if (now < worker->next_tick) return;
  CACHE_INVALIDATE_CRASH_POINT("worker.tick", fails);
  worker->progress->tick();
  worker->segments->tick(now);
  worker->next_tick = worker->progress->is_settled() ? worker->segments->deadline(now) : now + kTick;
}

void start_scan(TimestampTz now) {
  const Feed::Scan due = worker->feed->due_scan(now);
  if (due == Feed::Scan::none) return;
  const WorkerTransaction transaction("reading the journal");
  if (due == Feed::Scan::all) {
    worker->feed->begin_full_scan(transaction.extension());
  } else {
    worker->feed->begin_target_scan(transaction.extension(), *worker->dispatcher->next_to_scan());
  }
  transaction.commit();
}

// Takes what has been committed. True: there may be more right now.
bool take_batches(TimestampTz now) {
  const std::uint64_t before = worker->dispatcher->position();
  const bool more = worker->feed->pump(now);
  // Before it can be taken for delivered.
  if (worker->feed->take_damage()) worker->ring_only->note_loss("a row of the journal is damaged");
  worker->pace.note(worker->dispatcher->position() - before, now);
  return more;
}

long milliseconds_until(TimestampTz now, TimestampTz deadline) {
  return deadline <= now ? 0 : static_cast<long>((deadline - now + 999) / 1000);
}

// All that is to be done at some time would wait until the clock says so again. A worker that begins anew waits for nothing.
void heed_clock(TimestampTz now) {
  const TimestampTz before = std::exchange(worker->board->last_cycle, now);
  if (now >= before - kTick) return;
  ereport(LOG, (errmsg("cache_invalidate: the clock was set back, restarting the worker")));
  finish(now);
  step_aside();
}

void run_cycle() {
  TimestampTz now = GetCurrentTimestamp();
  heed_clock(now);
  handle_requests(now);
  start_scan(now);
  // Before a watermark says who it is now.
  replay_forgotten();
  const bool was_full = worker->segments->is_full();
  worker->ring_only->run(was_full, now);
  if (!worker->feed->is_scanning_for_all()) make_resets();
  const bool more = take_batches(now);
  // A batch may come from after a change of the catalogs that we have not seen: before anything is sent.
  if (worker->dispatcher->lacks_servers() || take_catalog_change()) read_catalogs(now);
  worker->dispatcher->advance(now);
  const Feed::Older older = worker->feed->look_for_older(now);
  const bool signalled = older == Feed::Older::nothing && worker->dispatcher->signal(now);
  keep_books(now);
  worker->dispatcher->publish_status();
  now = GetCurrentTimestamp();
  if (signalled) worker->board->last_delivery = now;
  show_work(worker->presence, *worker->dispatcher, worker->pauses, worker->feed->is_scanning(), now);
  const TimestampTz due = older == Feed::Older::on_its_way ? now + kHandoverCheck : worker->dispatcher->deadline(now);
  const TimestampTz deadline = std::min({due, worker->next_tick, worker->next_sweep, worker->presence.deadline()});
  const bool resets = worker->dispatcher->outbox().may_reset() && !worker->feed->is_scanning_for_all();
  const bool must = worker->feed->due_scan(now) != Feed::Scan::none || worker->segments->is_full() != was_full;
  const bool busy = more || signalled || resets || must;
  const bool paces = !more && worker->waiter.pause(worker->dispatcher->targets(), worker->pace.until(now));
  worker->waiter.wait(worker->dispatcher->targets(), busy || paces ? 0 : milliseconds_until(now, deadline));
}

}  // namespace

CACHE_INVALIDATE_WORKER_MAIN(worker_main) {
  pqsignal(SIGTERM, die);
  pqsignal(SIGINT, on_cancel_signal);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  pg::pin_transaction_timeout();
  Oid role;
  memcpy(&role, MyBgworkerEntry->bgw_extra, sizeof role);
  BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(argument), role, OidIsValid(role) ? pg::kConnectFlags : 0);
  pin_settings();
  shorten_time_slice();
  journal::DatabaseSlot* slot = enter_slot();
  if (slot == nullptr) proc_exit(0);
  worker = new Worker();
  worker->slot = slot;
  worker->role = role;
  // Lives as long as the process; each cycle's leavings go with its transaction.
  MemoryContext cycle = AllocSetContextCreate(TopMemoryContext, "cache_invalidate cycle", ALLOCSET_DEFAULT_SIZES);
  try {
    MemoryContextSwitchTo(cycle);
    start();
    while (true) {
      MemoryContextSwitchTo(cycle);
      run_cycle();
      MemoryContextReset(cycle);
    }
  } catch (const ExtensionGone&) {
    leave_for_good();
  }
}

bool start_worker(Oid database, Oid role, BackgroundWorkerHandle** handle) {
  BackgroundWorker definition = pg::describe_worker("cache_invalidate_worker_main", "cache_invalidate worker");
  snprintf(definition.bgw_name, BGW_MAXLEN, "cache_invalidate worker for database %u", database);
  definition.bgw_main_arg = ObjectIdGetDatum(database);
  memcpy(definition.bgw_extra, &role, sizeof role);
  definition.bgw_notify_pid = MyProcPid;
  return RegisterDynamicBackgroundWorker(&definition, handle);
}

}  // namespace cache_invalidate::delivery
