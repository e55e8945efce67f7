// A scripted server on a real socket, played by the thread of the test itself: no step of it waits.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "redis/url.hpp"

namespace cache_invalidate::redis {

class FakeServer {
 public:
  FakeServer() {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_on(AF_INET, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    socklen_t length = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    endpoint_.host = "127.0.0.1";
    endpoint_.port = ntohs(address.sin_port);
  }

  explicit FakeServer(const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    listen_on(AF_UNIX, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    endpoint_.kind = Endpoint::Kind::unix_socket;
    endpoint_.path = path;
  }

  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  ~FakeServer() {
    hang_up();
    ::close(listener_);
  }

  const Endpoint& endpoint() const { return endpoint_; }
  const std::string& received() const { return received_; }
  void forget() { received_.clear(); }
  void answer(std::string_view bytes) { to_send_ += bytes; }
  void answer_byte_by_byte() { step_ = 1; }  // before the connection is accepted
  void hang_up_when_sent() { hang_up_when_sent_ = true; }
  bool idle() const { return sent_ == to_send_.size(); }

  void hang_up() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  pollfd interest() const {
    if (fd_ < 0) return {listener_, POLLIN, 0};
    return {fd_, static_cast<short>(POLLIN | (idle() ? 0 : POLLOUT)), 0};
  }

  void on_event(short events) {
    if (fd_ < 0) {
      if (events == 0) return;
      fd_ = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      const int at_once = 1;  // single bytes are not to be gathered; a unix socket refuses the option
      setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
      return;
    }
    if ((events & POLLIN) != 0) receive();
    if ((events & POLLOUT) != 0) send();
    if (hang_up_when_sent_ && idle() && !received_.empty()) {
      hang_up();
      hang_up_when_sent_ = false;
    }
  }

 private:
  void listen_on(int family, const sockaddr* address, socklen_t length) {
    listener_ = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener_, address, length) != 0 || listen(listener_, 16) != 0) std::abort();
  }

  void receive() {
    char buffer[65536];
    const ssize_t count = ::recv(fd_, buffer, sizeof(buffer), 0);
    if (count > 0) received_.append(buffer, static_cast<std::size_t>(count));
    if (count == 0) hang_up();
  }

  void send() {
    if (fd_ < 0 || idle()) return;
    const std::size_t size = std::min(step_, to_send_.size() - sent_);
    const ssize_t count = ::send(fd_, to_send_.data() + sent_, size, MSG_NOSIGNAL);
    if (count > 0) sent_ += static_cast<std::size_t>(count);
    if (!idle() && (count >= 0 || errno == EAGAIN)) return;
    to_send_.clear();
    sent_ = 0;
  }

  Endpoint endpoint_;
  int listener_ = -1;
  int fd_ = -1;
  std::string received_;
  std::string to_send_;
  std::size_t sent_ = 0;
  std::size_t step_ = 65536;
  bool hang_up_when_sent_ = false;
};

}  // namespace cache_invalidate::redis
