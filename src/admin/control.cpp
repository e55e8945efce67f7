// What an operator does by hand: reset_cache(), pause_cache_invalidation(), resume_cache_invalidation().
#include "admin/installed.hpp"
#include "capture/reset.hpp"
#include "delivery/ddl_watch.hpp"
#include "delivery/pauses.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

constexpr const char* kDefaultReason = "requested by hand";
constexpr int kLongestReason = 1000;  // bytes

// In UTF-8.
const char* read_reason(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0)) return kDefaultReason;
  char* reason = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const int length = static_cast<int>(strlen(reason));
  reason[pg_mbcliplen(reason, length, kLongestReason)] = '\0';
  return pg::to_utf8(reason);
}

// InvalidOid: all.
Oid read_server(FunctionCallInfo fcinfo, const pg::Extension& extension) {
  if (PG_ARGISNULL(0)) return InvalidOid;
  const char* name = NameStr(*PG_GETARG_NAME(0));
  const ForeignServer* server = GetForeignServerByName(name, true);
  if (server == nullptr || server->fdwid != extension.wrapper) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("server \"%s\" of foreign-data wrapper \"cache_invalidate\" does not exist", name),
                    errhint("The view \"cache_invalidation_targets\" shows the servers. Without an argument all are meant.")));
  }
  return server->serverid;
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(reset_cache) {
  PreventCommandIfReadOnly("reset_cache()");
  installed_extension();
  capture::note_reset(read_reason(fcinfo));
  PG_RETURN_VOID();
}

CACHE_INVALIDATE_FUNCTION(pause) {
  PreventCommandIfReadOnly("pause_cache_invalidation()");
  const pg::Extension extension = installed_extension();
  const Oid server = read_server(fcinfo, extension);
  const bool changed = delivery::add_pause(extension, server, PG_ARGISNULL(0) ? "" : NameStr(*PG_GETARG_NAME(0)));
  if (changed) delivery::note_catalog_change();
  PG_RETURN_BOOL(changed);
}

CACHE_INVALIDATE_FUNCTION(resume) {
  PreventCommandIfReadOnly("resume_cache_invalidation()");
  const pg::Extension extension = installed_extension();
  const Oid server = read_server(fcinfo, extension);
  const bool changed = delivery::remove_pauses(extension, server);
  if (changed) delivery::note_catalog_change();
  PG_RETURN_BOOL(changed);
}

}  // namespace cache_invalidate::admin
