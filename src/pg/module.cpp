// What the server calls when it loads the library.
#include "capture/ddl_changes.hpp"
#include "capture/rule_cache.hpp"
#include "capture/transaction.hpp"
#include "capture/vocabulary.hpp"
#include "delivery/ddl_watch.hpp"
#include "delivery/worker.hpp"
#include "journal/shared.hpp"
#include "pg/crash_point.hpp"
#include "pg/extension.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

namespace cache_invalidate {
namespace {

void initialize() {
  settings::define();
  // pg_upgrade starts servers in which nothing may change by itself.
  if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade) {
    journal::request_shared_memory();
    pg::map_crash_points();
    delivery::register_launcher();
  }
  pg::watch_extension();
  capture::watch_tables();
  capture::watch_servers();
  capture::watch_transactions();
  capture::watch_ddl_changes();
  delivery::watch_ddl();
}

}  // namespace
}  // namespace cache_invalidate

void _PG_init(void) { cache_invalidate::pg::Entry<&cache_invalidate::initialize>::call(); }
