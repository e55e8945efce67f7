// Where a Redis or Valkey is: the URL of a server option, parsed and described.
//
// A URL never carries a secret: one with a user or a password in it is refused, and what is refused is
// never repeated in the message, so that a mistyped URL does not put a password into a log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace cache_invalidate::redis {

struct Endpoint {
  enum class Kind { tcp, unix_socket };

  Kind kind = Kind::tcp;
  std::string host;  // tcp: a name or a numeric address, IPv6 without brackets
  std::uint16_t port = 6379;
  std::string path;  // unix_socket: absolute
  int database = 0;
  bool tls = false;
};

// Accepts redis://host[:port][/database] and unix:///path/to.sock[?db=database]. In the path of a unix
// socket %XX stands for a byte.
core::Result<Endpoint> parse_url(std::string_view url);

// The endpoint as a URL again, for logs and health.
std::string describe(const Endpoint& endpoint);

}  // namespace cache_invalidate::redis
