#include "redis/transport.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "redis/cure.hpp"

namespace cache_invalidate::redis {
namespace {

// A peer that vanished without a word is noticed within about this time, instead of TCP's quarter of an hour.
constexpr int kUserTimeoutMilliseconds = 20000;
constexpr int kKeepaliveIdleSeconds = 15;
constexpr int kKeepaliveIntervalSeconds = 5;
constexpr int kKeepaliveProbes = 3;

struct Address {
  sockaddr_storage storage;
  socklen_t length;
};

struct FreeAddrinfo {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};

std::string error_text(int error) {
  return std::generic_category().message(error);
}

core::Error connect_error(const Endpoint& endpoint, const std::string& reason, Trouble trouble) {
  const char* const cure = cure_for(trouble);
  return {core::sqlstate::kConnectionFailure, "could not connect to \"" + describe(endpoint) + "\": " + reason, "",
          cure == nullptr ? "" : cure};
}

core::Error connect_error(const Endpoint& endpoint, int error) {
  return connect_error(endpoint, error_text(error), trouble_of_errno(error));
}

int lookup(const Endpoint& endpoint, int flags, std::unique_ptr<addrinfo, FreeAddrinfo>& found) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int problem =
      getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
  found.reset(problem == 0 ? list : nullptr);
  return problem;
}

core::Result<std::vector<Address>> resolve_host(const Endpoint& endpoint) {
  std::unique_ptr<addrinfo, FreeAddrinfo> found;
  int problem = lookup(endpoint, AI_NUMERICHOST, found);
  if (problem == EAI_NONAME) problem = lookup(endpoint, 0, found);
  if (problem != 0) {
    const std::string reason = problem == EAI_SYSTEM ? error_text(errno) : std::string(gai_strerror(problem));
    return connect_error(endpoint, reason, Trouble::unknown_host);
  }
  std::vector<Address> addresses;
  for (const addrinfo* entry = found.get(); entry != nullptr; entry = entry->ai_next) {
    Address address = {};
    if (entry->ai_addrlen > sizeof(address.storage)) continue;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    addresses.push_back(address);
  }
  return addresses;
}

core::Result<std::vector<Address>> resolve(const Endpoint& endpoint) {
  if (endpoint.kind == Endpoint::Kind::tcp) return resolve_host(endpoint);
  sockaddr_un name = {};
  if (endpoint.path.size() >= sizeof(name.sun_path)) return connect_error(endpoint, ENAMETOOLONG);
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, endpoint.path.data(), endpoint.path.size());
  Address address = {};
  std::memcpy(&address.storage, &name, sizeof(name));
  address.length = sizeof(name);
  return std::vector<Address>{address};
}

// Options make a connection better, not possible: one that the system refuses is done without.
void set_option(int fd, int level, int option, int value) {
  (void)setsockopt(fd, level, option, &value, sizeof(value));
}

void set_tcp_options(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
#endif
#ifdef TCP_KEEPINTVL
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
#endif
#ifdef TCP_KEEPCNT
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
#endif
#ifdef TCP_USER_TIMEOUT
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMilliseconds);
#endif
}

class SocketTransport final : public Transport {
 public:
  ~SocketTransport() override { SocketTransport::close(); }

  core::Result<ConnectProgress> start(const Endpoint& endpoint) override;
  core::Result<ConnectProgress> finish_connect() override;
  IoResult send(std::string_view bytes) override;
  IoResult recv(char* buffer, std::size_t size) override;
  int fd() const override { return fd_; }
  void close() noexcept override;

 private:
  core::Result<ConnectProgress> try_addresses();
  // errno when the attempt failed at once, else 0 with `progress` set and fd_ the new socket.
  int try_address(const Address& address, ConnectProgress& progress);
  void adopt(int fd) noexcept;

  Endpoint endpoint_;
  std::vector<Address> addresses_;
  std::size_t first_ = 0;  // where the next start() begins in the list
  std::size_t tried_ = 0;  // how many of the list were tried since start()
  int last_error_ = 0;
  int fd_ = -1;
  bool connecting_ = false;
};

core::Result<ConnectProgress> SocketTransport::start(const Endpoint& endpoint) {
  close();
  endpoint_ = endpoint;
  auto resolved = resolve(endpoint);
  if (!resolved.ok()) return resolved.error();
  addresses_ = resolved.take();
  tried_ = 0;
  last_error_ = EADDRNOTAVAIL;
  return try_addresses();
}

core::Result<ConnectProgress> SocketTransport::try_addresses() {
  while (tried_ < addresses_.size()) {
    const Address& address = addresses_[(first_ + tried_) % addresses_.size()];
    ++tried_;
    ConnectProgress progress = ConnectProgress::pending;
    last_error_ = try_address(address, progress);
    if (last_error_ != 0) continue;
    connecting_ = progress == ConnectProgress::pending;
    return progress;
  }
  connecting_ = false;
  close();
  return connect_error(endpoint_, last_error_);
}

int SocketTransport::try_address(const Address& address, ConnectProgress& progress) {
  const int family = address.storage.ss_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  if (family != AF_UNIX) set_tcp_options(fd);
  const auto* const name = reinterpret_cast<const sockaddr*>(&address.storage);
  const int result = connect(fd, name, address.length);
  // An interrupted connect goes on in the background, as one in progress does.
  if (result != 0 && errno != EINPROGRESS && errno != EINTR) {
    const int error = errno;
    ::close(fd);
    return error;
  }
  progress = result == 0 ? ConnectProgress::connected : ConnectProgress::pending;
  adopt(fd);
  return 0;
}

// The former socket is closed only after the new one was made: so their numbers differ, and an event loop
// that compares them sees that it must wait for another file.
void SocketTransport::adopt(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

core::Result<ConnectProgress> SocketTransport::finish_connect() {
  if (fd_ < 0) return connect_error(endpoint_, ENOTCONN);
  if (!connecting_) return ConnectProgress::connected;
  pollfd event = {fd_, POLLOUT, 0};
  if (poll(&event, 1, 0) <= 0) return ConnectProgress::pending;
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error == 0) {
    connecting_ = false;
    first_ = (first_ + tried_ - 1) % addresses_.size();
    return ConnectProgress::connected;
  }
  last_error_ = error;
  return try_addresses();
}

IoResult SocketTransport::send(std::string_view bytes) {
  while (true) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) return {IoResult::Kind::bytes, static_cast<std::size_t>(sent), 0};
    if (sent == 0 || errno == EAGAIN || errno == EWOULDBLOCK) return {IoResult::Kind::would_block, 0, 0};
    if (errno != EINTR) return {IoResult::Kind::closed, 0, errno};
  }
}

IoResult SocketTransport::recv(char* buffer, std::size_t size) {
  while (true) {
    const ssize_t received = ::recv(fd_, buffer, size, 0);
    if (received > 0) return {IoResult::Kind::bytes, static_cast<std::size_t>(received), 0};
    if (received == 0) return {IoResult::Kind::closed, 0, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoResult::Kind::would_block, 0, 0};
    if (errno != EINTR) return {IoResult::Kind::closed, 0, errno};
  }
}

// An address that never answered is given up by our caller's deadline: the next start() begins behind it,
// or else the addresses behind a dead one would never be reached.
void SocketTransport::close() noexcept {
  if (connecting_ && !addresses_.empty()) first_ = (first_ + tried_) % addresses_.size();
  connecting_ = false;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace

std::unique_ptr<Transport> make_socket_transport() {
  return std::make_unique<SocketTransport>();
}

}  // namespace cache_invalidate::redis
