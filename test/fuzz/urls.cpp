// URLs of servers: what is accepted means the same when it is written out, what is refused is not repeated.
#include <string>
#include <string_view>

#include "redis/url.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {

void urls(std::string_view input) {
  constexpr std::string_view kSecret = "S3cr3t";  // stands in the corpus
  const core::Result<redis::Endpoint> parsed = redis::parse_url(input);
  if (!parsed.ok()) {
    const core::Error& error = parsed.error();
    require(!error.message.empty(), "an error says something");
    require((error.message + error.detail + error.hint).find(kSecret) == std::string::npos, "a password is not repeated");
    return;
  }
  const redis::Endpoint& endpoint = parsed.value();
  const bool is_socket = endpoint.kind == redis::Endpoint::Kind::unix_socket;
  require(is_socket ? endpoint.path.rfind('/', 0) == 0 : !endpoint.host.empty(), "an endpoint is somewhere");
  require(endpoint.path.find('\0') == std::string::npos && endpoint.host.find('\0') == std::string::npos, "and can be named in C");
  require(endpoint.port > 0 && endpoint.database >= 0, "numbers are in range");
  const core::Result<redis::Endpoint> again = redis::parse_url(redis::describe(endpoint));
  require(again.ok(), "an endpoint can be read as it is described");
  const redis::Endpoint& same = again.value();
  require(same.kind == endpoint.kind && same.host == endpoint.host && same.port == endpoint.port && same.path == endpoint.path &&
              same.database == endpoint.database && same.tls == endpoint.tls,
          "and is the same");
}

}  // namespace cache_invalidate::fuzz
