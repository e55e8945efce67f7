// What the worker and the launcher are seen to do: in pg_stat_activity, and in the process title. Both are changed at most once a
// second, however busy the process is.
#pragma once

#include <string>
#include <vector>

#include "pg/postgres.hpp"

namespace cache_invalidate::delivery {

// Says so at once. `text` is cut where it is too long.
void show_presence(bool is_active, const std::string& text);

// pg_stat_activity, after a transaction that showed something else.
void report_presence();

// What is true of the worker now.
struct Sight {
  enum class Doing { waiting, paused, waiting_for_servers, sending, delivering, scanning };
  Doing doing = Doing::waiting;
  Oid server = InvalidOid;  // that it delivers to, or that is down; of several the first
  int servers = 0;

  bool operator==(const Sight& other) const { return doing == other.doing && server == other.server && servers == other.servers; }
};

// What the worker does, with patience.
class Presence {
 public:
  // The process title begins with these words.
  static void begin(const char* title);

  // `name` of the sight's server.
  void update(const Sight& sight, const char* name, TimestampTz now);
  // When what update() held back may be shown.
  TimestampTz deadline() const { return is_late_ ? shown_at_ + kLeast : DT_NOEND; }

 private:
  static constexpr TimestampTz kLeast = 1000000;

  Sight shown_;
  TimestampTz shown_at_ = 0;  // 0: nothing was
  bool is_late_ = false;
};

}  // namespace cache_invalidate::delivery
