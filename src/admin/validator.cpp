// The validator of the foreign-data wrapper: options of servers and user mappings are checked as they are
// written, and the worker takes them up when that has committed.
#include <vector>

#include "delivery/ddl_watch.hpp"
#include "delivery/target_catalog.hpp"
#include "pg/guard.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::admin {
namespace {

template <typename T>
void require(const core::Result<T>& result) {
  if (!result.ok()) throw pg::ReportedError(result.error());
}

// A character that Redis could not be told is refused here. May raise an error.
void require_utf8(List* options) {
  ListCell* cell;
  foreach (cell, options) pg::to_utf8(defGetString(static_cast<DefElem*>(lfirst(cell))));
}

}  // namespace

CACHE_INVALIDATE_FUNCTION(fdw_validator) {
  const Oid catalog = PG_GETARG_OID(1);
  List* list = untransformRelOptions(PG_GETARG_DATUM(0));
  require_utf8(list);
  std::vector<delivery::OptionText> options;
  pg::guarded([&] { delivery::copy_options(list, options); });
  if (catalog == ForeignServerRelationId) {
    require(delivery::parse_server_options(options));
  } else if (catalog == UserMappingRelationId) {
    require(delivery::parse_mapping_options(options));
  } else if (!options.empty()) {
    core::Error error;
    error.sqlstate = core::sqlstate::kFdwInvalidOption;
    error.message = "invalid option \"" + options.front().name + "\"";
    error.hint = "The foreign-data wrapper itself has no options: give them to a server.";
    throw pg::ReportedError(error);
  }
  delivery::note_catalog_change();
  return Datum(0);
}

}  // namespace cache_invalidate::admin
