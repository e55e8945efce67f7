// The connection against a scripted server on a real socket: handshakes, hostile answers, losses at every
// byte. One thread plays both sides and waits with poll(2) only, so that every run is the same.
#include "redis/connection.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "redis_fake_server.hpp"

namespace cache_invalidate::redis {
namespace {

constexpr const char* kPassword = "HUNTER2";
constexpr const char* kSetName = "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$16\r\ncache_invalidate\r\n";

// A string literal with its NULs.
template <std::size_t kSize>
std::string literal(const char (&text)[kSize]) {
  return std::string(text, kSize - 1);
}

// Plays both sides until `done` or until the connection failed. False after ten seconds without `done`.
bool play(Connection& connection, FakeServer& server, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    pollfd events[2] = {server.interest(), {connection.fd(), POLLIN, 0}};
    if (connection.wants_write()) events[1].events |= POLLOUT;
    if (connection.state() == Connection::State::closed && server.idle()) return done();
    if (poll(events, 2, 10000) <= 0) return false;
    server.on_event(events[0].revents);
    const short ours = events[1].revents;
    if (connection.fd() < 0 || ours == 0) continue;
    connection.on_ready((ours & (POLLIN | POLLERR | POLLHUP)) != 0, (ours & POLLOUT) != 0);
  }
  return true;
}

bool play_until_closed(Connection& connection, FakeServer& server) {
  return play(connection, server, [&] { return connection.state() == Connection::State::closed; });
}

bool play_until_ready(Connection& connection, FakeServer& server) {
  server.answer("+OK\r\n");
  const bool ready = play(connection, server, [&] { return connection.state() == Connection::State::ready; });
  server.forget();
  return ready;
}

ConnectionOptions options_for(const FakeServer& server) {
  ConnectionOptions options;
  options.endpoint = server.endpoint();
  return options;
}

void append(Connection& connection, const std::vector<std::string_view>& args) {
  connection.append_command(args.data(), args.size());
}

void append_pings(Connection& connection, int count) {
  for (int i = 0; i < count; ++i) append(connection, {"PING"});
}

std::vector<Reply> take_replies(Connection& connection) {
  std::vector<Reply> replies;
  while (auto reply = connection.next_reply()) replies.push_back(*std::move(reply));
  return replies;
}

// A directory that goes away with the test.
class SocketDirectory {
 public:
  SocketDirectory() {
    if (mkdtemp(name_) == nullptr) std::abort();
  }
  SocketDirectory(const SocketDirectory&) = delete;
  SocketDirectory& operator=(const SocketDirectory&) = delete;
  ~SocketDirectory() {
    unlink(socket().c_str());
    rmdir(name_);
  }
  std::string socket() const { return std::string(name_) + "/redis.sock"; }

 private:
  char name_[32] = "/tmp/redis_test.XXXXXX";
};

struct Handshake {
  const char* username;
  const char* password;
  int database;
  const char* client_name;
  std::string sent;
  std::string answers;
};

TEST(RedisConnection, ShakesHands) {
  const std::string auth_one = "*2\r\n$4\r\nAUTH\r\n$7\r\nHUNTER2\r\n";
  const std::string auth_two = "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$8\r\na\r\nb %s\"\r\n";
  const std::string select = "*2\r\n$6\r\nSELECT\r\n$2\r\n11\r\n";
  const Handshake cases[] = {
      {"", "", 0, "cache_invalidate", kSetName, "+OK\r\n"},
      {"", "HUNTER2", 0, "cache_invalidate", auth_one + kSetName, "+OK\r\n+OK\r\n"},
      {"app", "a\r\nb %s\"", 11, "cache_invalidate", auth_two + select + kSetName, "+OK\r\n+OK\r\n+OK\r\n"},
      {"app", "", 11, "", select, "+OK\r\n"},
      {"", "", 0, "", "*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
      {"", "", 0, "cache_invalidate", kSetName, "-ERR unknown command 'CLIENT'\r\n"},
      {"", "", 0, "cache_invalidate", kSetName, "-NOPERM no permissions to run the 'client' command\r\n"},
      {"", "", 0, "cache_invalidate", kSetName, "-unsupported by this proxy\r\n"},
  };
  for (const Handshake& c : cases) {
    for (const bool byte_by_byte : {false, true}) {
      SCOPED_TRACE(c.sent + c.answers);
      FakeServer server;
      if (byte_by_byte) server.answer_byte_by_byte();
      ConnectionOptions options = options_for(server);
      options.username = c.username;
      options.password = c.password;
      options.endpoint.database = c.database;
      options.client_name = c.client_name;
      Connection connection(options);
      ASSERT_TRUE(connection.open());
      server.answer(c.answers);
      ASSERT_TRUE(play(connection, server, [&] { return connection.state() == Connection::State::ready; }))
          << connection.failure().text;
      ASSERT_TRUE(play(connection, server, [&] { return server.received().size() >= c.sent.size(); }));
      EXPECT_EQ(server.received(), c.sent);
      EXPECT_EQ(connection.bytes_sent(), c.sent.size());
      EXPECT_EQ(connection.bytes_received(), c.answers.size());
      EXPECT_FALSE(connection.wants_write());
      EXPECT_EQ(connection.unanswered(), 0u);
      EXPECT_FALSE(connection.next_reply());
    }
  }
}

struct Refusal {
  const char* answers;
  ReplyClass reply_class;
  const char* text;
};

TEST(RedisConnection, SaysWhyAHandshakeFailedAndNeverThePassword) {
  const Refusal cases[] = {
      {"-WRONGPASS invalid HUNTER2\r\n", ReplyClass::configuration,
       "the server does not accept the user name or the password (WRONGPASS)"},
      {"-ERR unknown command `AUTH`, with args beginning with: `app`, `HUNTER2`\r\n",
       ReplyClass::configuration, "the server refused AUTH (ERR)"},
      {"-ERR wrong number of arguments for 'auth' command\r\n", ReplyClass::configuration,
       "the server refused AUTH (ERR)"},
      {"-ERR invalid password\r\n", ReplyClass::configuration, "the server refused AUTH (ERR)"},
      {"-HUNTER2 HUNTER2\r\n", ReplyClass::transient, "the server refused AUTH (unrecognized error)"},
      {"-ERR max number of clients reached\r\n", ReplyClass::transient,
       "the server has too many clients (ERR)"},
      {"-LOADING Redis is loading the dataset in memory\r\n", ReplyClass::transient,
       "the server is loading its data (LOADING)"},
      {"-DENIED Redis is running in protected mode\r\n", ReplyClass::configuration,
       "the server is in protected mode and wants a password (DENIED)"},
      {":1\r\n", ReplyClass::protocol, "the server answered the handshake with a reply of the wrong type"},
      {"$7\r\nHUNTER2\r\n", ReplyClass::protocol,
       "the server answered the handshake with a reply of the wrong type"},
      {"+OK\r\n-ERR DB index is out of range\r\n", ReplyClass::configuration,
       "the server refused SELECT (ERR)"},
      {"+OK\r\n-NOPERM no permissions to run the 'select' command\r\n", ReplyClass::configuration,
       "the server refused SELECT (NOPERM)"},
      {"+OK\r\n+OK\r\n-NOAUTH Authentication required.\r\n", ReplyClass::configuration,
       "the server asks for a password (NOAUTH)"},
      {"+OK\r\n+OK\r\n-ERR max number of clients reached\r\n", ReplyClass::transient,
       "the server has too many clients (ERR)"},
      {"HTTP/1.1 400 HUNTER2\r\n\r\n", ReplyClass::protocol, "the peer does not speak the Redis protocol"},
      {"+OK\r\n+OK\r\n+OK\r\n+OK\r\n", ReplyClass::protocol, "the server sent a reply to nothing"},
      {"+OK\r\n+O", ReplyClass::transient, "connection lost in the handshake: the server closed it"},
      {"", ReplyClass::transient, "connection lost in the handshake: the server closed it"},
  };
  for (const Refusal& c : cases) {
    SCOPED_TRACE(c.answers);
    FakeServer server;
    ConnectionOptions options = options_for(server);
    options.username = "app";
    options.password = kPassword;
    options.endpoint.database = 1;
    Connection connection(options);
    ASSERT_TRUE(connection.open());
    server.answer(c.answers);
    server.hang_up_when_sent();
    ASSERT_TRUE(play_until_closed(connection, server));
    EXPECT_EQ(connection.failure().reply_class, c.reply_class);
    EXPECT_EQ(connection.failure().text, c.text);
    EXPECT_EQ(connection.failure().text.find(kPassword), std::string::npos);
    EXPECT_EQ(connection.fd(), -1);
    EXPECT_FALSE(connection.wants_write());
    EXPECT_FALSE(connection.on_ready(true, true));
    EXPECT_FALSE(connection.flush());
    EXPECT_EQ(connection.failure().text, c.text);
  }
}

TEST(RedisConnection, SendsKeysAsCountedBytes) {
  FakeServer server;
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  const std::vector<std::string_view> keys = {
      "plain", {"a\r\nb", 4}, {"nul\0nul", 7}, "%s%n %b", "", "*1\r\n$8\r\nFLUSHALL\r\n", "h\xc3\xb6\xff"};
  connection.append_unlink(keys.data(), keys.size(), "", "", false);
  connection.append_unlink(keys.data(), 2, "app:", "", true);
  connection.append_unlink(keys.data(), 2, "app:", "lease:", false);
  connection.append_unlink(keys.data(), 0, "app:", "lease:", false);
  append(connection, {"PUBLISH", "", "%d\r\n"});
  EXPECT_EQ(connection.unanswered(), 4u);
  const std::string expected =
      literal("*8\r\n$6\r\nUNLINK\r\n$5\r\nplain\r\n$4\r\na\r\nb\r\n$7\r\nnul\0nul\r\n") +
      "$7\r\n%s%n %b\r\n$0\r\n\r\n$18\r\n*1\r\n$8\r\nFLUSHALL\r\n\r\n$4\r\nh\xc3\xb6\xff\r\n" +
      "*3\r\n$3\r\nDEL\r\n$9\r\napp:plain\r\n$8\r\napp:a\r\nb\r\n" +
      "*5\r\n$6\r\nUNLINK\r\n$15\r\napp:lease:plain\r\n$9\r\napp:plain\r\n" +
      "$14\r\napp:lease:a\r\nb\r\n$8\r\napp:a\r\nb\r\n" +
      "*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$4\r\n%d\r\n\r\n";
  EXPECT_EQ(connection.unsent_bytes(), expected.size());
  EXPECT_TRUE(connection.wants_write());
  ASSERT_TRUE(connection.flush());
  ASSERT_TRUE(play(connection, server, [&] { return server.received().size() >= expected.size(); }));
  EXPECT_EQ(server.received(), expected);
  EXPECT_EQ(connection.unsent_bytes(), 0u);
}

TEST(RedisConnection, TakesTenThousandPipelinedReplies) {
  FakeServer server;
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  constexpr int kCount = 10000;
  const std::string filler(500, 'k');
  for (int i = 0; i < kCount; ++i) {
    const std::string key = std::to_string(i) + filler;
    const std::string_view view = key;
    connection.append_unlink(&view, 1, "p:", "", false);
    server.answer(":" + std::to_string(i) + "\r\n");
  }
  const std::uint64_t sent_before = connection.bytes_sent();
  const std::uint64_t to_send = connection.unsent_bytes();
  int taken = 0;
  const auto take = [&] {
    while (auto reply = connection.next_reply()) {
      EXPECT_EQ(reply->kind, Reply::Kind::integer);
      EXPECT_EQ(reply->integer, taken++);
    }
    return taken == kCount && server.received().size() == to_send;
  };
  ASSERT_TRUE(play(connection, server, take)) << connection.failure().text;
  EXPECT_EQ(connection.bytes_sent() - sent_before, to_send);
  EXPECT_EQ(connection.unanswered(), 0u);
  EXPECT_EQ(connection.state(), Connection::State::ready);
}

TEST(RedisConnection, GoesOnAfterAnErrorInTheMiddleOfAPipeline) {
  FakeServer server;
  server.answer_byte_by_byte();
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  append_pings(connection, 4);
  server.answer(":1\r\n-ERR unknown command 'X'\r\n*2\r\n$1\r\na\r\n*1\r\n:7\r\n$-1\r\n");
  ASSERT_TRUE(play(connection, server, [&] { return server.idle(); }));
  std::vector<Reply> replies;
  ASSERT_TRUE(play(connection, server, [&] {
    for (Reply& reply : take_replies(connection)) replies.push_back(std::move(reply));
    return replies.size() == 4;
  }));
  EXPECT_EQ(replies[1].kind, Reply::Kind::error);
  EXPECT_EQ(classify_error(replies[1].text), ReplyClass::configuration);
  EXPECT_EQ(replies[2].elements[1].elements[0].integer, 7);
  EXPECT_EQ(replies[3].kind, Reply::Kind::nil);
}

// Only answered commands count as done, at whatever byte the connection breaks.
TEST(RedisConnection, CountsOnlyWholeRepliesWhenCutAtEveryByte) {
  const std::string answers = ":1\r\n$5\r\na\r\nbc\r\n*2\r\n:1\r\n:2\r\n-ERR no\r\n";
  const std::vector<std::size_t> ends = {4, 15, 27, 36};
  ASSERT_EQ(ends.back(), answers.size());
  for (std::size_t cut = 0; cut <= answers.size(); ++cut) {
    SCOPED_TRACE(cut);
    FakeServer server;
    Connection connection(options_for(server));
    ASSERT_TRUE(connection.open());
    ASSERT_TRUE(play_until_ready(connection, server));
    append_pings(connection, 5);
    server.answer(answers.substr(0, cut));
    server.hang_up_when_sent();
    ASSERT_TRUE(play_until_closed(connection, server));
    EXPECT_EQ(connection.failure().reply_class, ReplyClass::transient);
    EXPECT_EQ(connection.failure().text.rfind("connection lost: ", 0), 0u) << connection.failure().text;
    const auto whole = static_cast<std::size_t>(
        std::count_if(ends.begin(), ends.end(), [cut](std::size_t end) { return end <= cut; }));
    EXPECT_EQ(connection.unanswered(), 5u);
    EXPECT_EQ(take_replies(connection).size(), whole);
    EXPECT_EQ(connection.unanswered(), 5u - whole);
    connection.close();
    EXPECT_EQ(connection.unanswered(), 0u);
  }
}

struct Nonsense {
  const char* what;
  std::string answers;
};

TEST(RedisConnection, ClosesAStreamThatMakesNoSense) {
  const Nonsense cases[] = {
      {"more replies than commands", ":1\r\n:2\r\n:3\r\n"},
      {"text", "HTTP/1.1 200 OK\r\n\r\n"},
      {"text behind a reply", ":1\r\nwhat?\r\n"},
      {"too large", ":1\r\n$99999999999\r\n"},
      {"too deep", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"},
      {"a push", ">2\r\n+message\r\n+x\r\n"},
      {"a line without end", "+" + std::string(200000, 'x')},
  };
  for (const Nonsense& c : cases) {
    SCOPED_TRACE(c.what);
    FakeServer server;
    Connection connection(options_for(server));
    ASSERT_TRUE(connection.open());
    ASSERT_TRUE(play_until_ready(connection, server));
    append_pings(connection, 2);
    server.answer(c.answers);
    ASSERT_TRUE(play_until_closed(connection, server));
    EXPECT_EQ(connection.failure().reply_class, ReplyClass::protocol);
    EXPECT_FALSE(connection.next_reply());
    EXPECT_EQ(connection.unanswered(), 2u);
  }
}

TEST(RedisConnection, FailsOnAReplyWhenNothingWasAsked) {
  FakeServer server;
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  server.answer("+OK\r\n");
  ASSERT_TRUE(play_until_closed(connection, server));
  EXPECT_EQ(connection.failure().reply_class, ReplyClass::protocol);
  EXPECT_EQ(connection.failure().text, "the server sent a reply to nothing");
}

TEST(RedisConnection, BoundsRepliesThatNobodyTakes) {
  FakeServer server;
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  append_pings(connection, 100);
  const std::string reply = "$8388608\r\n" + std::string(8388608, 'x') + "\r\n";
  for (int i = 0; i < 8; ++i) server.answer(reply);
  ASSERT_TRUE(play_until_closed(connection, server));
  EXPECT_EQ(connection.failure().reply_class, ReplyClass::protocol);
  EXPECT_EQ(connection.unanswered(), 100u);
}

TEST(RedisConnection, ReadsABoundedAmountACall) {
  FakeServer server;
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  append_pings(connection, 1);
  server.answer("$12000000\r\n" + std::string(12000000, 'x') + "\r\n");
  std::uint64_t before = connection.bytes_received();
  std::uint64_t most = 0;
  ASSERT_TRUE(play(connection, server, [&] {
    most = std::max(most, connection.bytes_received() - before);
    before = connection.bytes_received();
    const auto reply = connection.next_reply();
    return reply && reply->text.size() == 12000000;
  }));
  EXPECT_LE(most, 1024u * 1024u + 16u * 1024u);
}

TEST(RedisConnection, CanBeOpenedAgain) {
  FakeServer server;
  Connection connection(options_for(server));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(connection.open());
    ASSERT_TRUE(play_until_ready(connection, server)) << connection.failure().text;
    append_pings(connection, 2);
    server.answer(":1\r\n:");  // the half of a reply is not to be seen by the next stream
    server.hang_up_when_sent();
    ASSERT_TRUE(play_until_closed(connection, server));
    EXPECT_EQ(connection.unanswered(), 2u);
  }
  EXPECT_FALSE(connection.failure().text.empty());
  ASSERT_TRUE(connection.open());
  EXPECT_EQ(connection.unanswered(), 0u);
  EXPECT_TRUE(connection.failure().text.empty());
}

TEST(RedisConnection, RefusesCommandsWhenNotReady) {
  FakeServer server;
  Connection connection(options_for(server));
  const std::string_view key = "k";
  EXPECT_THROW(connection.append_unlink(&key, 1, "", "", false), std::logic_error);
  ASSERT_TRUE(connection.open());
  EXPECT_THROW(connection.append_command(&key, 1), std::logic_error);
  EXPECT_TRUE(connection.on_ready(false, false));
}

constexpr const char* kHealth = "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";

TEST(RedisConnection, AsksInTheHandshakeWhoTheServerIs) {
  const struct {
    std::string answers;
    const char* identity;
  } cases[] = {
      {"+OK\r\n+PONG\r\n$8\r\nrun_id:a\r\n$29\r\nrole:master\r\nmaster_replid:bc\r\n", "a bc master"},
      {"+OK\r\n-NOPERM no\r\n-NOPERM no\r\n-NOPERM no\r\n", ""},
      {"-ERR no\r\n-ERR unknown command\r\n-ERR unknown command\r\n$11\r\nrole:master\r\n", "- - master"},
      {"+OK\r\n+PONG\r\n$8\r\nrun_id:a\r\n-unsupported by this proxy\r\n", "a - -"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.answers);
    FakeServer server;
    server.answer_byte_by_byte();
    ConnectionOptions options = options_for(server);
    options.asks_health = true;
    Connection connection(options);
    ASSERT_TRUE(connection.open());
    server.answer(c.answers);
    ASSERT_TRUE(play(connection, server, [&] { return connection.state() == Connection::State::ready; }))
        << connection.failure().text;
    EXPECT_EQ(connection.identity(), c.identity);
    EXPECT_EQ(server.received(), std::string(kSetName) + kHealth);
    server.forget();
    connection.append_health_check();
    EXPECT_EQ(connection.unanswered(), Connection::kHealthCommands);
    ASSERT_TRUE(play(connection, server, [&] { return server.received() == kHealth; }));
    connection.close();
    EXPECT_EQ(connection.identity(), "");
  }
}

TEST(RedisConnection, DoesNotBecomeReadyWhereTheServerWouldNotServe) {
  const struct {
    const char* answers;
    ReplyClass reply_class;
    const char* text;
    const char* cure;  // a part of it
  } cases[] = {
      {"+OK\r\n-MISCONF Redis is configured to save RDB snapshots\r\n", ReplyClass::transient,
       "the server refused PING (MISCONF)", "look at its disk"},
      {"+OK\r\n+PONG\r\n-LOADING no\r\n", ReplyClass::transient, "the server is loading its data (LOADING)", "wait"},
      {"-BUSY no\r\n", ReplyClass::transient, "the server refused CLIENT SETNAME (BUSY)", "SCRIPT KILL"},
      {"-NOAUTH no\r\n", ReplyClass::configuration, "the server asks for a password (NOAUTH)", "CREATE USER MAPPING"},
      {"+OK\r\n+PONG\r\n+a status\r\n", ReplyClass::protocol,
       "the server answered the handshake with a reply of the wrong type", "no Redis"},
      {"HTTP/1.1 400 Bad Request\r\n\r\n", ReplyClass::protocol, "the peer does not speak the Redis protocol", "no Redis"},
      {"+OK\r\n", ReplyClass::transient, "connection lost in the handshake: the server closed it", "TLS"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.answers);
    FakeServer server;
    ConnectionOptions options = options_for(server);
    options.asks_health = true;
    Connection connection(options);
    ASSERT_TRUE(connection.open());
    server.answer(c.answers);
    server.hang_up_when_sent();
    ASSERT_TRUE(play_until_closed(connection, server));
    EXPECT_EQ(connection.failure().reply_class, c.reply_class);
    EXPECT_EQ(connection.failure().text, c.text);
    EXPECT_NE(connection.failure().cure.find(c.cure), std::string::npos) << connection.failure().cure;
  }
}

TEST(RedisConnection, ReportsAServerThatIsNotThere) {
  // Bound but not listening: nobody else can get the port, and connecting to it is refused.
  const int bound = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(bound, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(bound, reinterpret_cast<sockaddr*>(&address), &length), 0);
  ConnectionOptions options;
  options.password = kPassword;
  options.endpoint.host = "127.0.0.1";
  options.endpoint.port = ntohs(address.sin_port);
  Connection connection(options);
  if (connection.open()) {
    pollfd event = {connection.fd(), POLLOUT, 0};
    ASSERT_EQ(poll(&event, 1, 10000), 1);
    EXPECT_FALSE(connection.on_ready(false, true));
  }
  EXPECT_EQ(connection.state(), Connection::State::closed);
  EXPECT_EQ(connection.failure().reply_class, ReplyClass::transient);
  EXPECT_EQ(connection.failure().text,
            "could not connect to \"" + describe(options.endpoint) + "\": Connection refused");
  ::close(bound);
}

TEST(RedisConnection, SpeaksThroughAUnixSocket) {
  const SocketDirectory directory;
  {
    FakeServer server(directory.socket());
    Connection connection(options_for(server));
    ASSERT_TRUE(connection.open());
    ASSERT_TRUE(play_until_ready(connection, server));
    append_pings(connection, 1);
    server.answer("+PONG\r\n");
    ASSERT_TRUE(play(connection, server, [&] { return connection.next_reply().has_value(); }));
  }
  ConnectionOptions options;
  options.endpoint.kind = Endpoint::Kind::unix_socket;
  options.endpoint.path = directory.socket() + ".none";
  Connection nobody(options);
  EXPECT_FALSE(nobody.open());
  EXPECT_NE(nobody.failure().text.find("No such file or directory"), std::string::npos);
  options.endpoint.path = std::string(200, 'x');
  Connection too_long(options);
  EXPECT_FALSE(too_long.open());
}

// Only where the name has several addresses, of which the server listens on the last in our order.
TEST(RedisConnection, MovesOnFromARefusedAddress) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  ASSERT_EQ(getaddrinfo("localhost", nullptr, &hints, &list), 0);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  if (list->ai_next == nullptr || list->ai_family == AF_INET) GTEST_SKIP() << "localhost has one address";
  FakeServer server;
  ConnectionOptions options = options_for(server);
  options.endpoint.host = "localhost";
  Connection connection(options);
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server)) << connection.failure().text;
}

// A server that hangs up while we still send: what it said before counts for more than the failed write.
TEST(RedisConnection, ReadsTheReasonBeforeAFailedWrite) {
  FakeServer server;
  Connection connection(options_for(server));
  ASSERT_TRUE(connection.open());
  ASSERT_TRUE(play_until_ready(connection, server));
  append_pings(connection, 1);
  ASSERT_TRUE(play(connection, server, [&] { return !server.received().empty(); }));
  server.answer(":1\r\n");
  server.hang_up_when_sent();
  while (server.interest().fd >= 0 && !server.idle()) server.on_event(POLLOUT);
  server.hang_up();
  const std::string large(1024 * 1024, 'x');
  bool alive = true;
  while (alive) {
    append(connection, {"SET", "k", large});
    alive = connection.flush();
  }
  EXPECT_EQ(connection.failure().reply_class, ReplyClass::transient);
  EXPECT_EQ(take_replies(connection).size(), 1u);
}

}  // namespace
}  // namespace cache_invalidate::redis
