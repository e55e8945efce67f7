// What somebody invalidates by hand: invalidate_cache_key(), invalidate_cache_pattern(), invalidate_cache_resource().
#include "admin/installed.hpp"
#include "capture/manual.hpp"
#include "capture/transaction.hpp"
#include "core/expand.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

[[noreturn]] void refuse_null(const char* what) {
  ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what)));
}

// In UTF-8.
const char* read_item(Datum datum, const char* what) {
  const Size size = toast_raw_datum_size(datum) - VARHDRSZ;
  if (size == 0) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be empty", what)));
  const char* item = size > core::kLongestKey ? nullptr : pg::to_utf8(TextDatumGetCString(datum));
  if (item != nullptr && strlen(item) <= core::kLongestKey) return item;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is too long", what),
                  errdetail("It may have %zu bytes, as UTF-8.", core::kLongestKey)));
}

[[noreturn]] void refuse_role(Oid wrapper) {
  const char* role = GetUserNameFromId(GetUserId(), false);
  const char* server = capture::first_enabled_server(wrapper);
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("role \"%s\" may use no server of foreign-data wrapper \"cache_invalidate\"", role),
                  errhint("Let it: GRANT USAGE ON FOREIGN SERVER %s TO %s.", server != nullptr ? quote_identifier(server) : "...", quote_identifier(role))));
}

// False: nothing is to be noted, because of cache_invalidate.enabled. `warns`: if it goes nowhere.
bool check_servers(bool warns) {
  if (!settings::enabled) return false;
  const Oid wrapper = installed_extension().wrapper;
  const capture::Reach reach = capture::reach_of_user(wrapper);
  if (reach == capture::Reach::forbidden) refuse_role(wrapper);
  if (reach == capture::Reach::nobody && warns) {
    ereport(WARNING, (errmsg("nothing is deleted anywhere"),
                      errdetail("No server of foreign-data wrapper \"cache_invalidate\" is enabled."),
                      errhint("Make one with CREATE SERVER ... FOREIGN DATA WRAPPER cache_invalidate.")));
  }
  return true;
}

Jsonb* read_scope(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(1)) return nullptr;
  Jsonb* scope = PG_GETARG_JSONB_P(1);
  if (JB_ROOT_IS_OBJECT(scope)) return scope;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the scope must be a JSON object"),
                  errhint("Write the columns that are known, for example '{\"project_id\": 3}'.")));
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(invalidate_key) {
  PreventCommandIfReadOnly("invalidate_cache_key()");
  installed_extension();
  if (PG_ARGISNULL(0)) refuse_null("the array of keys");
  Datum* keys;
  bool* nulls;
  int count;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &keys, &nulls, &count);
  // None is noted if one is wrong.
  auto** texts = static_cast<const char**>(palloc(sizeof(const char*) * static_cast<Size>(Max(count, 1))));
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) refuse_null("a key");
    texts[i] = read_item(keys[i], "a key");
  }
  if (count == 0 || !check_servers(true)) PG_RETURN_VOID();
  for (int i = 0; i < count; ++i) {
    CHECK_FOR_INTERRUPTS();
    capture::note_key(texts[i]);
    capture::changes_added();
  }
  PG_RETURN_VOID();
}

CACHE_INVALIDATE_FUNCTION(invalidate_pattern) {
  PreventCommandIfReadOnly("invalidate_cache_pattern()");
  installed_extension();
  if (PG_ARGISNULL(0)) refuse_null("the pattern");
  const char* glob = read_item(PG_GETARG_DATUM(0), "the pattern");
  if (!check_servers(true)) PG_RETURN_VOID();
  capture::note_pattern(glob);
  capture::changes_added();
  PG_RETURN_VOID();
}

CACHE_INVALIDATE_FUNCTION(invalidate_resource) {
  PreventCommandIfReadOnly("invalidate_cache_resource()");
  installed_extension();
  if (PG_ARGISNULL(0)) refuse_null("the resource");
  const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
  Jsonb* scope = read_scope(fcinfo);
  if (!check_servers(false)) PG_RETURN_INT32(0);
  const int triggers = capture::note_resource(pg::to_utf8(name), scope);
  if (triggers > 0) PG_RETURN_INT32(triggers);
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("no trigger has resource \"%s\"", name),
                  errhint("It is the argument \"resource\" of notify_cache_invalidation(), else the table's name: "
                          "see get_cache_trigger_health().")));
}

}  // namespace cache_invalidate::admin
