#include "delivery/waiter.hpp"

#include <poll.h>

#include <algorithm>

namespace cache_invalidate::delivery {
namespace {
constexpr int kEventsAtOnce = 64;
constexpr int kFixedEvents = 2;
}  // namespace

Waiter::~Waiter() {
  if (set_ != nullptr) FreeWaitEventSet(set_);
}

// A socket that was closed has left the set by itself and its number may be another's now: whenever any
// changed, the set is made anew. That happens at connects only.
void Waiter::watch(const std::vector<std::unique_ptr<Target>>& targets) {
  const auto is_same = [](const Target* watched, const std::unique_ptr<Target>& target) { return watched == target.get(); };
  bool changed = set_ == nullptr || !std::equal(watched_.begin(), watched_.end(), targets.begin(), targets.end(), is_same);
  for (const auto& target : targets) changed = target->take_socket_changed() || changed;
  if (changed) {
    if (set_ != nullptr) FreeWaitEventSet(set_);
    sockets_.clear();
    watched_.clear();
    for (const auto& target : targets) watched_.push_back(target.get());
    set_ = pg::create_wait_event_set(static_cast<int>(targets.size()) + kFixedEvents);
    AddWaitEventToSet(set_, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
    AddWaitEventToSet(set_, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    for (const auto& target : targets) {
      if (target->fd() < 0) continue;
      const bool writes = target->wants_write();
      const uint32 events = WL_SOCKET_READABLE | (writes ? WL_SOCKET_WRITEABLE : 0);
      const int place = AddWaitEventToSet(set_, events, target->fd(), nullptr, target.get());
      sockets_.push_back({target.get(), target->fd(), place, writes});
    }
    return;
  }
  for (Socket& socket : sockets_) {
    const bool writes = socket.target->wants_write();
    if (writes == socket.writes) continue;
    socket.writes = writes;
    ModifyWaitEvent(set_, socket.place, WL_SOCKET_READABLE | (writes ? WL_SOCKET_WRITEABLE : 0), nullptr);
  }
}

bool Waiter::pause(const std::vector<std::unique_ptr<Target>>& targets, TimestampTz until) {
  TimestampTz now = GetCurrentTimestamp();
  if (now >= until) return false;
  for (; now < until && !InterruptPending; now = GetCurrentTimestamp()) {
    pollfd sockets[kEventsAtOnce];
    Target* owners[kEventsAtOnce];
    nfds_t count = 0;
    for (const auto& target : targets) {
      if (target->fd() < 0 || count == kEventsAtOnce) continue;
      const short events = static_cast<short>((target->wants_write() ? POLLOUT : 0) | (target->has_more_behind_answers() ? POLLIN : 0));
      if (events == 0) continue;
      owners[count] = target.get();
      sockets[count++] = {target->fd(), events, 0};
    }
    const timespec left = {0, static_cast<long>(until - now) * 1000};
    if (ppoll(sockets, count, &left, nullptr) <= 0) break;
    const TimestampTz time = GetCurrentTimestamp();
    for (nfds_t i = 0; i < count; ++i) {
      if (sockets[i].revents == 0) continue;
      owners[i]->on_socket((sockets[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0, (sockets[i].revents & (POLLOUT | POLLERR | POLLHUP)) != 0, time);
    }
  }
  return true;
}

void Waiter::wait(const std::vector<std::unique_ptr<Target>>& targets, long timeout) {
  watch(targets);
  // While the latch is set, nobody looks at the sockets: under load, never.
  if (MyLatch->is_set) {
    ResetLatch(MyLatch);
    timeout = 0;
  }
  WaitEvent events[kEventsAtOnce];
  const int count = WaitEventSetWait(set_, timeout, events, kEventsAtOnce, pg::main_wait_event());
  ResetLatch(MyLatch);
  const TimestampTz now = GetCurrentTimestamp();
  for (int i = 0; i < count; ++i) {
    if (events[i].user_data == nullptr) continue;
    auto* target = static_cast<Target*>(events[i].user_data);
    target->on_socket((events[i].events & WL_SOCKET_READABLE) != 0, (events[i].events & WL_SOCKET_WRITEABLE) != 0, now);
  }
}

}  // namespace cache_invalidate::delivery
