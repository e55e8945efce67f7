#include "redis/url.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace cache_invalidate::redis {
namespace {

constexpr const char* kTcpHint =
    "Write redis://host:port/database, for example \"redis://127.0.0.1:6379/0\" or \"redis://[::1]:6379\".";
constexpr const char* kUnixHint =
    "Write unix:///path?db=database, for example \"unix:///run/redis/redis.sock?db=0\".";
constexpr std::size_t kMaxHostLength = 255;
constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

// The classification of <cctype> follows the locale; a URL does not.
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

core::Error invalid(std::string message, std::string detail, std::string hint) {
  return {core::sqlstate::kFdwInvalidOption, std::move(message), std::move(detail), std::move(hint)};
}

// Only a number is repeated to the user: whatever else stands in a number's place may be a password.
std::string as_given(std::string_view text) {
  const bool number = !text.empty() && text.size() <= 20 && std::all_of(text.begin(), text.end(), is_digit);
  return number ? ", not \"" + std::string(text) + "\"" : std::string();
}

std::optional<long> parse_number(std::string_view text, long lowest, long highest) {
  long value = 0;
  const char* const end = text.data() + text.size();
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  const auto [stop, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc() || stop != end || value < lowest || value > highest) return std::nullopt;
  return value;
}

std::optional<core::Error> read_database(std::string_view text, const char* hint, Endpoint& endpoint) {
  const auto number = parse_number(text, 0, std::numeric_limits<int>::max());
  if (!number) {
    return invalid("invalid database number in option \"url\"",
                   "The database must be a number from 0 upwards" + as_given(text) + ".", hint);
  }
  endpoint.database = static_cast<int>(*number);
  return std::nullopt;
}

std::optional<core::Error> read_port(std::string_view text, Endpoint& endpoint) {
  const auto number = parse_number(text, 1, 65535);
  if (!number) {
    return invalid("invalid port in option \"url\"",
                   "The port must be a number from 1 to 65535" + as_given(text) + ".", kTcpHint);
  }
  endpoint.port = static_cast<std::uint16_t>(*number);
  return std::nullopt;
}

// A zone ("fe80::1%eth0") is left to the resolver, which knows the interfaces.
bool is_ipv6(std::string_view text) {
  const std::string address(text.substr(0, text.find('%')));
  in6_addr ignored;
  return inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

bool is_host_name(std::string_view text) {
  return text.size() <= kMaxHostLength && std::all_of(text.begin(), text.end(), [](char c) {
           return is_alpha(c) || is_digit(c) || c == '.' || c == '-' || c == '_';
         });
}

std::optional<core::Error> read_bracketed(std::string_view authority, Endpoint& endpoint) {
  const auto closing = authority.find(']');
  if (closing == std::string_view::npos || !is_ipv6(authority.substr(1, closing - 1))) {
    return invalid("invalid IPv6 address in option \"url\"",
                   "What stands in brackets must be an IPv6 address.", kTcpHint);
  }
  endpoint.host = std::string(authority.substr(1, closing - 1));
  const auto rest = authority.substr(closing + 1);
  if (rest.empty()) return std::nullopt;
  if (rest.front() != ':') {
    return invalid("invalid host in option \"url\"", "After the brackets only a port may follow.", kTcpHint);
  }
  return read_port(rest.substr(1), endpoint);
}

std::optional<core::Error> read_authority(std::string_view authority, Endpoint& endpoint) {
  if (!authority.empty() && authority.front() == '[') return read_bracketed(authority, endpoint);
  const auto colon = authority.find(':');
  const auto host = authority.substr(0, colon);
  if (colon != std::string_view::npos && authority.find(':', colon + 1) != std::string_view::npos) {
    return invalid("invalid host in option \"url\"", "An IPv6 address must stand in brackets.", kTcpHint);
  }
  if (host.empty()) {
    return invalid("missing host in option \"url\"", "The URL names no host.", kTcpHint);
  }
  if (!is_host_name(host)) {
    return invalid("invalid host in option \"url\"",
                   "A host name consists of letters, digits, dots, hyphens and underscores.", kTcpHint);
  }
  endpoint.host = std::string(host);
  if (colon == std::string_view::npos) return std::nullopt;
  return read_port(authority.substr(colon + 1), endpoint);
}

core::Result<Endpoint> parse_tcp(std::string_view rest) {
  Endpoint endpoint;
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return invalid("unexpected parameters in option \"url\"",
                   "A redis:// URL ends with the database; everything else is an option of the server.",
                   kTcpHint);
  }
  const auto slash = rest.find('/');
  if (auto problem = read_authority(rest.substr(0, slash), endpoint)) return *std::move(problem);
  if (slash == std::string_view::npos || slash + 1 == rest.size()) return endpoint;
  if (auto problem = read_database(rest.substr(slash + 1), kTcpHint, endpoint)) return *std::move(problem);
  return endpoint;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    unsigned byte = 0;
    const char* const end = text.data() + i + 3;
    const auto [stop, problem] = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (problem != std::errc() || stop != end || byte == 0) return std::nullopt;
    decoded.push_back(static_cast<char>(byte));
    i += 2;
  }
  return decoded;
}

// What may not stand in the path as it is. A line break would make two lines of one in a log.
std::string percent_encode(std::string_view path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte != 0x7f && c != '%' && c != '?' && c != '@') {
      encoded.push_back(c);
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 0xf]};
    }
  }
  return encoded;
}

core::Result<Endpoint> parse_unix(std::string_view rest) {
  Endpoint endpoint;
  endpoint.kind = Endpoint::Kind::unix_socket;
  const auto question = rest.find('?');
  const auto path = percent_decode(rest.substr(0, question));
  if (rest.empty() || rest.front() != '/' || !path || path->size() < 2) {
    return invalid(
        "invalid socket path in option \"url\"",
        "A unix socket is named by an absolute path, in which \"%\" begins a two-digit byte value.",
        kUnixHint);
  }
  if (path->size() > kMaxUnixPath) {
    return invalid("socket path in option \"url\" is too long",
                   "The path has " + std::to_string(path->size()) + " bytes; the operating system allows " +
                       std::to_string(kMaxUnixPath) + ".",
                   "Use a shorter path, for example by a symbolic link to the directory.");
  }
  endpoint.path = *path;
  if (question == std::string_view::npos) return endpoint;
  const auto query = rest.substr(question + 1);
  if (query.substr(0, 3) != "db=") {
    return invalid("unexpected parameters in option \"url\"",
                   "The only parameter of a unix:// URL is \"db\".", kUnixHint);
  }
  if (auto problem = read_database(query.substr(3), kUnixHint, endpoint)) return *std::move(problem);
  return endpoint;
}

// Before anything else is looked at, so that no later message can repeat a part of a password: a password may
// contain every character that elsewhere divides a URL.
std::optional<core::Error> refuse_unsafe(std::string_view url) {
  if (url.find('@') != std::string_view::npos) {
    return invalid("user name or password in option \"url\"",
                   "The options of a server are visible to every user.",
                   "Give the password with CREATE USER MAPPING ... OPTIONS (username '...', password '...'). "
                   "In the path of a unix socket write \"%40\" for \"@\".");
  }
  const bool printable =
      std::all_of(url.begin(), url.end(), [](unsigned char c) { return c > ' ' && c != 0x7f; });
  if (!printable) {
    return invalid("invalid character in option \"url\"",
                   "A URL contains no spaces and no control characters.", kTcpHint);
  }
  return std::nullopt;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

}  // namespace

core::Result<Endpoint> parse_url(std::string_view url) {
  if (auto problem = refuse_unsafe(url)) return *std::move(problem);
  const auto separator = url.find("://");
  if (separator == std::string_view::npos) {
    return invalid("invalid value for option \"url\"", "The value is not a URL.", kTcpHint);
  }
  const std::string scheme = lower(url.substr(0, separator));
  const auto rest = url.substr(separator + 3);
  if (scheme == "redis") return parse_tcp(rest);
  if (scheme == "unix") return parse_unix(rest);
  if (scheme == "rediss") {
    return core::Error{core::sqlstate::kFeatureNotSupported, "TLS is not supported by this build",
                       "A rediss:// URL asks for an encrypted connection.",
                       "Use redis:// through a local TLS tunnel, or a unix socket."};
  }
  return invalid("invalid scheme in option \"url\"", "The scheme must be \"redis\" or \"unix\".", kTcpHint);
}

std::string describe(const Endpoint& endpoint) {
  const std::string database = std::to_string(endpoint.database);
  if (endpoint.kind == Endpoint::Kind::unix_socket) return "unix://" + percent_encode(endpoint.path) + "?db=" + database;
  const bool bracketed = endpoint.host.find(':') != std::string::npos;
  return std::string(endpoint.tls ? "rediss://" : "redis://") + (bracketed ? "[" : "") + endpoint.host +
         (bracketed ? "]" : "") + ":" + std::to_string(endpoint.port) + "/" + database;
}

}  // namespace cache_invalidate::redis
