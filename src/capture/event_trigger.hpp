// What the server hands to the function of an event trigger.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

// Raises an error if anybody else is calling.
inline const EventTriggerData& event_trigger_data(FunctionCallInfo fcinfo) {
  if (!CALLED_AS_EVENT_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("not called by the event trigger manager")));
  }
  return *reinterpret_cast<const EventTriggerData*>(fcinfo->context);
}

}  // namespace cache_invalidate::capture
