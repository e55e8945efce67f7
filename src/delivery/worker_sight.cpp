#include "delivery/worker_sight.hpp"

namespace cache_invalidate::delivery {

void show_work(Presence& presence, Dispatcher& dispatcher, const Pauses& pauses, bool is_scanning, TimestampTz now) {
  Sight up;    // that are delivered to
  Sight down;
  const char* up_name = "";
  const char* down_name = "";
  bool is_paused = pauses.all;
  for (const auto& target : dispatcher.targets()) {
    if (!target->enabled()) continue;
    is_paused = is_paused || target->is_paused();
    const bool is_busy = !target->is_paused() && !target->is_down() && target->owed() > 0;
    if (!is_busy && !target->is_down()) continue;
    Sight& sight = is_busy ? up : down;
    if (sight.servers++ > 0) continue;
    sight.server = target->server();
    (is_busy ? up_name : down_name) = target->definition().name.c_str();
  }
  up.doing = Sight::Doing::delivering;
  down.doing = Sight::Doing::waiting_for_servers;
  Sight other;
  if (is_paused) other.doing = Sight::Doing::paused;
  if (is_scanning) {
    other.doing = Sight::Doing::scanning;
    presence.update(other, "", now);
  } else if (up.servers > 0) {
    presence.update(up, up_name, now);
  } else if (down.servers > 0) {
    presence.update(down, down_name, now);
  } else {
    if (!pauses.all && dispatcher.has_messages()) other.doing = Sight::Doing::sending;
    presence.update(other, "", now);
  }
}

}  // namespace cache_invalidate::delivery
