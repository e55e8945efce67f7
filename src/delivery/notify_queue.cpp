#include "delivery/notify_queue.hpp"

#include "pg/guard.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kInterval = 1000000;
constexpr std::size_t kMostBetween = 64 * 1024;  // the smallest queue that can be configured has 512 kB

}  // namespace

void NotifyQueue::look(TimestampTz now) {
  next_look_ = now + kInterval;
  since_look_ = 0;
  double usage = 0;
  pg::guarded([&] { usage = DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, Datum(0))); });
  const double limit = settings::notify_queue_limit / 100;
  if (!is_held_ && usage >= limit) {
    is_held_ = true;
    ereport(LOG, (errmsg("cache_invalidate: NOTIFY is held back: its queue is %.3g per cent full", usage * 100),
                  errhint("A session that listens sits in a transaction: end it. Deletes go on, a reset message follows.")));
  } else if (is_held_ && usage < limit / 2) {
    is_held_ = false;
    ereport(LOG, (errmsg("cache_invalidate: NOTIFY goes on: its queue has room again")));
  }
}

bool NotifyQueue::take_room(TimestampTz now, std::size_t bytes) {
  since_look_ += bytes;
  if (now >= next_look_ || since_look_ >= kMostBetween) look(now);
  return !is_held_;
}

}  // namespace cache_invalidate::delivery
