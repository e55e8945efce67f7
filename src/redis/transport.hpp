// Bytes to a server and back, without ever waiting: the transport below the protocol.
//
// Everything here returns at once, with one exception: the name of a host is looked up with getaddrinfo(),
// which may block for as long as the resolver's own limits say. Numeric addresses and unix sockets never
// reach the resolver.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "core/result.hpp"
#include "redis/url.hpp"

namespace cache_invalidate::redis {

enum class ConnectProgress { connected, pending };

struct IoResult {
  enum class Kind { bytes, would_block, closed };

  Kind kind = Kind::would_block;
  std::size_t bytes = 0;  // more than 0 when kind is `bytes`
  int error = 0;          // when kind is `closed`: errno, or 0 if the peer closed in order
};

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // The hint of an error is its cure. Begins to connect; an attempt under way is given up. When `pending`, wait for fd() to be writable and
  // call finish_connect().
  virtual core::Result<ConnectProgress> start(const Endpoint& endpoint) = 0;
  // Safe to call too early. May move on to the next address of the host: then fd() is another number than
  // before the call, so that whoever waits on it notices.
  virtual core::Result<ConnectProgress> finish_connect() = 0;
  virtual IoResult send(std::string_view bytes) = 0;
  virtual IoResult recv(char* buffer, std::size_t size) = 0;
  virtual int fd() const = 0;  // -1 when closed
  virtual void close() noexcept = 0;
};

// TCP and unix sockets, not encrypted.
std::unique_ptr<Transport> make_socket_transport();

}  // namespace cache_invalidate::redis
