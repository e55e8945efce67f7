#include "pg/settings.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::settings {

bool enabled = true;
char* notify_channel = nullptr;
int batch_window = 0;
int batch_size = 1000;
int durability = kDurabilityOn;
int error_log_limit = 10000;
int error_log_retention = 7 * 86400;
int max_backlog_keys = 1000000;
int max_change_set_memory = 16 * 1024;
int max_items_per_transaction = 100000;
int max_journal_size = 1024;
double notify_queue_limit = 50;
int replay_window = 60000;
int ring_size = 4 * 1024;
int signal_timeout = 1000;
char* worker_role = nullptr;

namespace {

constexpr config_enum_entry kDurabilities[] = {{"on", kDurabilityOn, false}, {"off", kDurabilityOff, false}, {nullptr, 0, false}};

bool check_channel(char** value, void** /*extra*/, GucSource /*source*/) {
  if (strlen(*value) < NAMEDATALEN) return true;
  GUC_check_errdetail("A channel name may have at most %d bytes; an empty one sends no message.", NAMEDATALEN - 1);
  return false;
}

bool check_role(char** value, void** /*extra*/, GucSource /*source*/) {
  if (strlen(*value) < NAMEDATALEN) return true;
  GUC_check_errdetail("A role name may have at most %d bytes; an empty one stands for the extension's owner.", NAMEDATALEN - 1);
  return false;
}

void define_delivery() {
  DefineCustomIntVariable("cache_invalidate.batch_size", "Sets the number of items sent to a target in one push.",
                          "Larger pushes cost less; smaller ones let other targets take their turn earlier.", &batch_size,
                          1000, 1, 100000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.batch_window", "Sets how long a push waits for more changes to fold in.",
                          "0 sends as soon as possible.", &batch_window, 0, 0, 60000, PGC_SIGHUP, GUC_UNIT_MS, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.error_log_limit", "Sets how many rows trigger_error_log keeps.",
                          "The worker removes the oldest beyond that.", &error_log_limit, 10000, 100, 10000000, PGC_SIGHUP, 0, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.error_log_retention", "Sets how long trigger_error_log keeps a row.",
                          "The worker removes what is older. 0 keeps rows of any age.", &error_log_retention, 7 * 86400, 0,
                          10 * 365 * 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.max_backlog_keys",
                          "Sets how many keys owed to one target are kept in the worker's memory.",
                          "Beyond that they are widened to patterns of their templates.",
                          &max_backlog_keys, 1000000, 1000, 100000000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.max_journal_size",
                          "Sets how large the journal may grow while something is owed.",
                          "At half of it what is owed to targets that are away is folded; a target that comes back still gets all of it.",
                          &max_journal_size, 1024, 16, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("cache_invalidate.notify_channel",
                             "Sets the NOTIFY channel of messages whose trigger names none.",
                             "An empty name sends no such message.", &notify_channel, "cache_invalidation", PGC_SIGHUP, 0,
                             check_channel, nullptr, nullptr);
  DefineCustomRealVariable("cache_invalidate.notify_queue_limit",
                           "Sets how full, in per cent, the server's queue of notifications may be.",
                           "Beyond that the worker sends no NOTIFY, so that users' own still fit; when half of it is free again, a reset message.",
                           &notify_queue_limit, 50, 0.0001, 90, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.replay_window",
                          "Sets how long the journal keeps what was delivered, for a Redis that comes back with older data.",
                          "Choose it longer than the time between two snapshots that a Redis may be restarted from. 0 keeps nothing.",
                          &replay_window, 60000, 0, 86400000, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.signal_timeout",
                          "Sets how long messages wait for the deletes of a target that does not answer.",
                          "A target that is known to be down delays no message.", &signal_timeout, 1000, 0, 60000,
                          PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("cache_invalidate.worker_role", "Sets the role that workers connect as.",
                             "It needs LOGIN (before PostgreSQL 17) and CONNECT, and no other privilege. Empty: they run as the extension's owner.",
                             &worker_role, "", PGC_SIGHUP, 0, check_role, nullptr, nullptr);
}

}  // namespace

void define() {
  define_delivery();
  DefineCustomEnumVariable("cache_invalidate.durability", "Sets whether what a transaction makes stale is written to the journal.",
                           "Off, it is handed to the worker in memory only; if that is lost, all caches are reset.", &durability,
                           kDurabilityOn, kDurabilities, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("cache_invalidate.enabled", "Turns the capture of changes on.",
                           "Off, changes of this session invalidate nothing: caches stay stale unless reset by hand.",
                           &enabled, true, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.max_change_set_memory",
                          "Sets how much memory a transaction keeps changes in.",
                          "Beyond that it writes them to the journal before it commits.", &max_change_set_memory,
                          16 * 1024, 64, 1024 * 1024, PGC_SUSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.max_items_per_transaction",
                          "Sets how many distinct keys and messages a transaction may have.",
                          "Beyond that, templates that give very many are widened: to a pattern, and to one message for the whole resource.",
                          &max_items_per_transaction, 100000, 1, INT_MAX, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("cache_invalidate.ring_size",
                          "Sets the size of each database's ring in shared memory.",
                          "Taken up when the database's worker creates its ring. What does not fit is read from the journal.",
                          &ring_size, 4 * 1024, 64, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  pg::reserve_setting_prefix("cache_invalidate");
}

}  // namespace cache_invalidate::settings
