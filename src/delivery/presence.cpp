#include "delivery/presence.hpp"

#include "pg/crash_point.hpp"

namespace cache_invalidate::delivery {
namespace {

bool active = true;
char shown[256] = "starting";

std::string of_servers(const char* before, const Sight& sight, const char* name, const char* one, const char* many) {
  if (sight.servers == 1) return std::string(before) + "\"" + name + "\"" + one;
  return std::string(before) + std::to_string(sight.servers) + many;
}

std::string text_of(const Sight& sight, const char* name) {
  switch (sight.doing) {
    case Sight::Doing::waiting: return "waiting for changes";
    case Sight::Doing::paused: return "waiting: paused by hand";
    case Sight::Doing::waiting_for_servers:
      return of_servers(sight.servers == 1 ? "waiting: server " : "waiting: ", sight, name, " is down", " servers are down");
    case Sight::Doing::sending: return "sending messages";
    case Sight::Doing::delivering: return of_servers("delivering to ", sight, name, "", " servers");
    case Sight::Doing::scanning: return "scanning the journal";
  }
  return "";
}

}  // namespace

void show_presence(bool is_active, const std::string& text) {
  active = is_active;
  strlcpy(shown, text.c_str(), sizeof shown);
  // A name may hold anything; a title is one line.
  for (char* c = shown; *c != '\0'; ++c) {
    if (static_cast<unsigned char>(*c) < ' ' || *c == '\x7f') *c = '?';
  }
  CACHE_INVALIDATE_CRASH_POINT("presence", fails);
  report_presence();
  set_ps_display(shown);
}

void report_presence() { pgstat_report_activity(active ? STATE_RUNNING : STATE_IDLE, shown); }

void Presence::begin(const char* title) {
  init_ps_display(title);
  show_presence(true, "starting");
}

void Presence::update(const Sight& sight, const char* name, TimestampTz now) {
  is_late_ = false;
  if (shown_at_ != 0 && sight == shown_) return;
  is_late_ = now < shown_at_ + kLeast;
  if (is_late_) return;
  shown_ = sight;
  shown_at_ = now;
  show_presence(sight.doing >= Sight::Doing::sending, text_of(sight, name));
}

}  // namespace cache_invalidate::delivery
