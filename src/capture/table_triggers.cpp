#include "capture/table_triggers.hpp"

#include "pg/extension.hpp"

namespace cache_invalidate::capture {
namespace {

bool is_ours(const Trigger& trigger) {
  const bool truncate = (trigger.tgtype & TRIGGER_TYPE_EVENT_MASK) == TRIGGER_TYPE_TRUNCATE;
  return TRIGGER_FOR_AFTER(trigger.tgtype) && truncate != static_cast<bool>(TRIGGER_FOR_ROW(trigger.tgtype)) &&
         pg::is_trigger_function(trigger.tgfoid);
}

}  // namespace

TableTriggers copy_our_triggers(Relation table) {
  TableTriggers ours;
  if (table->trigdesc == nullptr) return ours;
  const TriggerDesc* all = CopyTriggerDesc(table->trigdesc);
  Trigger* triggers = all->triggers;
  for (int i = 0; i < all->numtriggers; ++i) {
    if (is_ours(triggers[i])) triggers[ours.count++] = triggers[i];
  }
  ours.first = triggers;
  return ours;
}

bool is_enabled(const Trigger& trigger) {
  if (trigger.tgenabled == TRIGGER_DISABLED) return false;
  const bool replica = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA;
  return trigger.tgenabled != (replica ? TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA);
}

bool is_for(const Trigger& trigger, core::Operation operation) {
  switch (operation) {
    case core::Operation::insert:
      return TRIGGER_FOR_INSERT(trigger.tgtype) != 0;
    case core::Operation::update:
      return TRIGGER_FOR_UPDATE(trigger.tgtype) != 0;
    case core::Operation::remove:
      return TRIGGER_FOR_DELETE(trigger.tgtype) != 0;
    case core::Operation::truncate:
      return true;
    default:
      return false;
  }
}

}  // namespace cache_invalidate::capture
