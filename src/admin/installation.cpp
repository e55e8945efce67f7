// What belongs to the extension's objects as such.
#include "delivery/ddl_watch.hpp"
#include "journal/shared.hpp"
#include "pg/guard.hpp"

namespace cache_invalidate::admin {

CACHE_INVALIDATE_FUNCTION(installed) {
  delivery::note_installation();
  if (journal::shared_state() == nullptr && !IsBinaryUpgrade) {
    ereport(WARNING, (errmsg("cache_invalidate is not in shared_preload_libraries"),
                      errdetail("Triggers write what is stale into the journal, but nothing is delivered."),
                      errhint("Add cache_invalidate to shared_preload_libraries and restart the server.")));
  }
  PG_RETURN_VOID();
}

// What others would put into the journal, the initial copy of a subscription before all, is not ours to deliver.
CACHE_INVALIDATE_FUNCTION(keep_out) { return PointerGetDatum(nullptr); }

// The version of the library that the server has loaded, as against that of the objects: they differ between an upgrade
// of the package and the restart, or ALTER EXTENSION UPDATE, that completes it.
CACHE_INVALIDATE_FUNCTION(library_version) { return CStringGetTextDatum(CACHE_INVALIDATE_VERSION); }

}  // namespace cache_invalidate::admin
