// URLs of servers: what is accepted, what is refused and how, and that no refusal repeats a password.
#include "redis/url.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cache_invalidate::redis {
namespace {

struct Accepted {
  const char* url;
  Endpoint::Kind kind;
  const char* where;
  int port;
  int database;
  const char* described;
};

TEST(RedisUrl, AcceptsAndDescribes) {
  constexpr auto kTcp = Endpoint::Kind::tcp;
  constexpr auto kUnix = Endpoint::Kind::unix_socket;
  const Accepted cases[] = {
      {"redis://localhost", kTcp, "localhost", 6379, 0, "redis://localhost:6379/0"},
      {"redis://localhost/", kTcp, "localhost", 6379, 0, "redis://localhost:6379/0"},
      {"redis://127.0.0.1:6380", kTcp, "127.0.0.1", 6380, 0, "redis://127.0.0.1:6380/0"},
      {"redis://cache_1.example-host.org:1/15", kTcp, "cache_1.example-host.org", 1, 15,
       "redis://cache_1.example-host.org:1/15"},
      {"REDIS://h:65535/2147483647", kTcp, "h", 65535, 2147483647, "redis://h:65535/2147483647"},
      {"redis://[::1]:6379/2", kTcp, "::1", 6379, 2, "redis://[::1]:6379/2"},
      {"redis://[fe80::1%eth0]", kTcp, "fe80::1%eth0", 6379, 0, "redis://[fe80::1%eth0]:6379/0"},
      {"unix:///run/redis.sock", kUnix, "/run/redis.sock", 6379, 0, "unix:///run/redis.sock?db=0"},
      {"unix:///run/redis.sock?db=3", kUnix, "/run/redis.sock", 6379, 3, "unix:///run/redis.sock?db=3"},
      {"unix:///a%20b%40%3F", kUnix, "/a b@?", 6379, 0, "unix:///a%20b%40%3F?db=0"},
      {"unix:///%2541%0ALOG:", kUnix, "/%41\nLOG:", 6379, 0, "unix:///%2541%0ALOG:?db=0"},
  };
  for (const Accepted& c : cases) {
    SCOPED_TRACE(c.url);
    const auto parsed = parse_url(c.url);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    const Endpoint& endpoint = parsed.value();
    EXPECT_EQ(endpoint.kind, c.kind);
    EXPECT_EQ(endpoint.kind == kTcp ? endpoint.host : endpoint.path, c.where);
    EXPECT_EQ(endpoint.port, c.port);
    EXPECT_EQ(endpoint.database, c.database);
    EXPECT_FALSE(endpoint.tls);
    EXPECT_EQ(describe(endpoint), c.described);
  }
}

struct Refused {
  std::string url;
  const char* message;
  const char* detail_part;
};

TEST(RedisUrl, RefusesAndExplains) {
  const Refused cases[] = {
      {"", "invalid value for option \"url\"", "not a URL"},
      {"localhost:6379", "invalid value for option \"url\"", "not a URL"},
      {"http://localhost", "invalid scheme in option \"url\"", "\"redis\" or \"unix\""},
      {"redis://", "missing host in option \"url\"", "no host"},
      {"redis://:6379", "missing host in option \"url\"", "no host"},
      {"redis:///0", "missing host in option \"url\"", "no host"},
      {"redis://h:", "invalid port in option \"url\"", "from 1 to 65535."},
      {"redis://h:0", "invalid port in option \"url\"", "not \"0\""},
      {"redis://h:65536", "invalid port in option \"url\"", "not \"65536\""},
      {"redis://h:99999999999999999999", "invalid port in option \"url\"", "not \"99999999999999999999\""},
      {"redis://h:-1", "invalid port in option \"url\"", "from 1 to 65535."},
      {"redis://h:6379x", "invalid port in option \"url\"", "from 1 to 65535."},
      {"redis://h/x", "invalid database number in option \"url\"", "from 0 upwards."},
      {"redis://h/-1", "invalid database number in option \"url\"", "from 0 upwards."},
      {"redis://h/2147483648", "invalid database number in option \"url\"", "not \"2147483648\""},
      {"redis://h/1/2", "invalid database number in option \"url\"", "from 0 upwards."},
      {"redis://h/1?db=2", "unexpected parameters in option \"url\"", "ends with the database"},
      {"redis://h#x", "unexpected parameters in option \"url\"", "ends with the database"},
      {"redis://::1:6379", "invalid host in option \"url\"", "in brackets"},
      {"redis://[::1", "invalid IPv6 address in option \"url\"", "in brackets"},
      {"redis://[nonsense]", "invalid IPv6 address in option \"url\"", "in brackets"},
      {"redis://[::1]6379", "invalid host in option \"url\"", "only a port"},
      {"redis://a,b", "invalid host in option \"url\"", "letters"},
      {"redis://h\xc3\xb6st", "invalid host in option \"url\"", "letters"},
      {"redis://" + std::string(256, 'h'), "invalid host in option \"url\"", "letters"},
      {"redis://h /0", "invalid character in option \"url\"", "no spaces"},
      {std::string("redis://h\0x", 11), "invalid character in option \"url\"", "no spaces"},
      {"redis://h\r\nFLUSHALL", "invalid character in option \"url\"", "no spaces"},
      {"unix://", "invalid socket path in option \"url\"", "absolute path"},
      {"unix://run/redis.sock", "invalid socket path in option \"url\"", "absolute path"},
      {"unix:///", "invalid socket path in option \"url\"", "absolute path"},
      {"unix:///a%2", "invalid socket path in option \"url\"", "two-digit"},
      {"unix:///a%zz", "invalid socket path in option \"url\"", "two-digit"},
      {"unix:///a%00", "invalid socket path in option \"url\"", "two-digit"},
      {"unix:///a?", "unexpected parameters in option \"url\"", "only parameter"},
      {"unix:///a?name=x", "unexpected parameters in option \"url\"", "only parameter"},
      {"unix:///a?db=", "invalid database number in option \"url\"", "from 0 upwards."},
      {"unix:///a?db=1&x=2", "invalid database number in option \"url\"", "from 0 upwards."},
      {"unix:///" + std::string(200, 'a'), "socket path in option \"url\" is too long", "201 bytes"},
  };
  for (const Refused& c : cases) {
    SCOPED_TRACE(c.url);
    const auto parsed = parse_url(c.url);
    ASSERT_FALSE(parsed.ok());
    EXPECT_STREQ(parsed.error().sqlstate, core::sqlstate::kFdwInvalidOption);
    EXPECT_EQ(parsed.error().message, c.message);
    EXPECT_NE(parsed.error().detail.find(c.detail_part), std::string::npos) << parsed.error().detail;
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(RedisUrl, RefusesTlsAsNotSupported) {
  const auto parsed = parse_url("rediss://localhost");
  ASSERT_FALSE(parsed.ok());
  EXPECT_STREQ(parsed.error().sqlstate, "0A000");
}

TEST(RedisUrl, NeverRepeatsASecret) {
  const char* const urls[] = {
      "redis://:hunter2@localhost",
      "redis://app:hunter2@localhost:6379/0",
      "redis://hunter2@localhost",
      "redis://:hun/hunter2@localhost",
      "redis://:hun?hunter2@localhost",
      "rediss://:hunter2@localhost",
      "unix://:hunter2@/run/r.sock",
      "hunter2@localhost",
      "hunter2",
      "hunter2://localhost",
      "redis://localhost:hunter2",
      "redis://localhost/hunter2",
      "redis://localhost?hunter2",
      "unix:///run/r.sock?password=hunter2",
      "redis://[hunter2]",
      "redis://a b:hunter2@h",
      "redis://:hunter2",
      "redis://app:hunter2:6379",
  };
  for (const char* const url : urls) {
    SCOPED_TRACE(url);
    const auto parsed = parse_url(url);
    ASSERT_FALSE(parsed.ok());
    const core::Error& error = parsed.error();
    EXPECT_EQ((error.message + error.detail + error.hint).find("hunter2"), std::string::npos);
  }
  const auto parsed = parse_url("redis://app:hunter2@localhost");
  EXPECT_NE(parsed.error().hint.find("CREATE USER MAPPING"), std::string::npos);
}

}  // namespace
}  // namespace cache_invalidate::redis
