// What an error reply means, by its first word, and what of it may be logged; and the limits of the reader.
#include "redis/reply.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "redis/reply_reader.hpp"

namespace cache_invalidate::redis {
namespace {

struct Classified {
  const char* line;
  ReplyClass reply_class;
  const char* word;
};

TEST(RedisReply, ClassifiesByFirstWord) {
  const Classified cases[] = {
      {"LOADING Redis is loading the dataset in memory", ReplyClass::transient, "LOADING"},
      {"LOADING Valkey is loading the dataset in memory", ReplyClass::transient, "LOADING"},
      {"BUSY Redis is busy running a script.", ReplyClass::transient, "BUSY"},
      {"MISCONF Redis is configured to save RDB snapshots", ReplyClass::transient, "MISCONF"},
      {"NOREPLICAS Not enough good replicas to write.", ReplyClass::transient, "NOREPLICAS"},
      {"CLUSTERDOWN Hash slot not served", ReplyClass::transient, "CLUSTERDOWN"},
      {"TRYAGAIN Multiple keys request during rehashing of slot", ReplyClass::transient, "TRYAGAIN"},
      {"MASTERDOWN Link with MASTER is down", ReplyClass::transient, "MASTERDOWN"},
      {"OOM command not allowed when used memory > 'maxmemory'.", ReplyClass::transient, "OOM"},
      {"NOSCRIPT No matching script.", ReplyClass::transient, "NOSCRIPT"},
      {"ERR max number of clients reached", ReplyClass::transient, "ERR"},
      {"ERR max number of clients + cluster connections reached", ReplyClass::transient, "ERR"},
      {"ERR something a later version says", ReplyClass::transient, "ERR"},
      {"ERR", ReplyClass::transient, "ERR"},
      {"MOVED 3999 127.0.0.1:6381", ReplyClass::moved, "MOVED"},
      {"ASK 3999 127.0.0.1:6381", ReplyClass::moved, "ASK"},
      {"READONLY You can't write against a read only replica.", ReplyClass::moved, "READONLY"},
      {"REDIRECT 127.0.0.1:6381", ReplyClass::moved, "REDIRECT"},
      {"NOAUTH Authentication required.", ReplyClass::configuration, "NOAUTH"},
      {"WRONGPASS invalid username-password pair or user is disabled.", ReplyClass::configuration,
       "WRONGPASS"},
      {"DENIED Redis is running in protected mode", ReplyClass::configuration, "DENIED"},
      {"NOPROTO unsupported protocol version", ReplyClass::configuration, "NOPROTO"},
      {"ERR invalid password", ReplyClass::configuration, "ERR"},
      {"ERR AUTH <password> called without any password configured", ReplyClass::configuration, "ERR"},
      {"ERR Client sent AUTH, but no password is set", ReplyClass::configuration, "ERR"},
      {"ERR operation not permitted", ReplyClass::configuration, "ERR"},
      {"ERR DB index is out of range", ReplyClass::configuration, "ERR"},
      {"ERR invalid DB index", ReplyClass::configuration, "ERR"},
      {"ERR SELECT is not allowed in cluster mode", ReplyClass::configuration, "ERR"},
      {"ERR unknown command 'UNLINK'", ReplyClass::configuration, "ERR"},
      {"ERR unknown command `UNLINK`, with args beginning with: `a`", ReplyClass::configuration, "ERR"},
      {"NOPERM this user has no permissions to run the 'unlink' command", ReplyClass::configuration,
       "NOPERM"},
      {"NOPERM User a has no permissions to run the 'x key' command", ReplyClass::configuration, "NOPERM"},
      {"NOPERM", ReplyClass::configuration, "NOPERM"},
      {"NOPERM this user has no permissions to access one of the keys used as arguments", ReplyClass::poison,
       "NOPERM"},
      {"NOPERM No permissions to access a key", ReplyClass::poison, "NOPERM"},
      {"NOPERM No permissions to access a channel", ReplyClass::poison, "NOPERM"},
      {"CROSSSLOT Keys in request don't hash to the same slot", ReplyClass::poison, "CROSSSLOT"},
      {"WRONGTYPE Operation against a key", ReplyClass::poison, "WRONGTYPE"},
      {"ERR Protocol error: invalid bulk length", ReplyClass::poison, "ERR"},
      {"ERR wrong number of arguments for 'unlink' command", ReplyClass::poison, "ERR"},
      {"", ReplyClass::transient, "unrecognized error"},
      {" ERR", ReplyClass::transient, "unrecognized error"},
      {"err lower case", ReplyClass::transient, "unrecognized error"},
      {"LOADINGX", ReplyClass::transient, "unrecognized error"},
      {"HUNTER2 is your password", ReplyClass::transient, "unrecognized error"},
      {"ERR\r\nHUNTER2", ReplyClass::transient, "ERR"},
  };
  for (const Classified& c : cases) {
    SCOPED_TRACE(c.line);
    EXPECT_EQ(classify_error(c.line), c.reply_class);
    EXPECT_EQ(first_word(c.line), c.word);
  }
}

// A string literal with its NULs.
template <std::size_t kSize>
std::string literal(const char (&text)[kSize]) {
  return std::string(text, kSize - 1);
}

std::string nested(std::size_t depth) {
  std::string stream;
  for (std::size_t i = 0; i < depth; ++i) stream += "*1\r\n";
  return stream + ":1\r\n";
}

// Feeds in pieces of `step` bytes, as a slow network would.
std::vector<Reply> read_all(ReplyReader& reader, const std::string& stream, std::size_t step) {
  std::vector<Reply> replies;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    reader.feed(std::string_view(stream).substr(at, step));
    while (auto parsed = reader.next()) replies.push_back(std::move(parsed->reply));
  }
  return replies;
}

TEST(RedisReplyReader, ReadsEveryKindInPiecesOfAnySize) {
  const std::string stream =
      literal("+OK\r\n-ERR no\r\n:-42\r\n$4\r\na\0\r\n\r\n$-1\r\n$0\r\n\r\n*-1\r\n*0\r\n") +
      "*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n+y\r\n" + nested(ReplyReader::kMaxDepth);
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    SCOPED_TRACE(step);
    ReplyReader reader;
    const auto replies = read_all(reader, stream, step);
    ASSERT_EQ(reader.problem(), nullptr);
    ASSERT_EQ(replies.size(), 10u);
    EXPECT_EQ(replies[0].kind, Reply::Kind::status);
    EXPECT_EQ(replies[0].text, "OK");
    EXPECT_EQ(replies[1].kind, Reply::Kind::error);
    EXPECT_EQ(replies[1].text, "ERR no");
    EXPECT_EQ(replies[2].kind, Reply::Kind::integer);
    EXPECT_EQ(replies[2].integer, -42);
    EXPECT_EQ(replies[3].kind, Reply::Kind::bulk);
    EXPECT_EQ(replies[3].text, std::string("a\0\r\n", 4));
    EXPECT_EQ(replies[4].kind, Reply::Kind::nil);
    EXPECT_EQ(replies[5].kind, Reply::Kind::bulk);
    EXPECT_EQ(replies[6].kind, Reply::Kind::nil);
    EXPECT_EQ(replies[7].kind, Reply::Kind::array);
    ASSERT_EQ(replies[8].elements.size(), 3u);
    ASSERT_EQ(replies[8].elements[1].elements.size(), 2u);
    EXPECT_EQ(replies[8].elements[1].elements[0].text, "x");
    EXPECT_EQ(replies[8].elements[1].elements[1].kind, Reply::Kind::nil);
    EXPECT_EQ(replies[8].elements[2].text, "y");
  }
}

struct Broken {
  const char* what;
  std::string stream;
};

TEST(RedisReplyReader, RefusesWhatIsNotRedisAndWhatIsTooMuch) {
  std::string wide = "*2\r\n";
  for (int i = 0; i < 2; ++i) {
    wide += "*200000\r\n";
    for (int j = 0; j < 200000; ++j) wide += ":1\r\n";
  }
  const Broken cases[] = {
      {"text", "HTTP/1.1 400 Bad Request\r\n"},
      {"a bulk that is too large", "$16777217\r\n"},
      {"a bulk that is much too large", "$99999999999\r\n"},
      {"a bulk larger than any number", "$99999999999999999999999\r\n"},
      {"a bulk of negative size", "$-2\r\n"},
      {"a bulk of no size", "$x\r\n"},
      {"no integer", ":one\r\n"},
      {"an array that is too large", "*262145\r\n"},
      {"an array that is much too large", "*99999999999\r\n"},
      {"an array of negative size", "*-2\r\n"},
      {"too many elements in all", wide},
      {"too deep", nested(ReplyReader::kMaxDepth + 1)},
      {"much too deep", nested(1000)},
      {"a line without end", "+" + std::string(100000, 'x')},
      {"a number without end", "*" + std::string(100000, '1')},
      {"a push of version 3", ">1\r\n+x\r\n"},
      {"a map of version 3", "%1\r\n+x\r\n+y\r\n"},
      {"a double of version 3", ",1.5\r\n"},
      {"a boolean of version 3", "*1\r\n#t\r\n"},
      {"a large number of version 3", "(123\r\n"},
      {"a verbatim string of version 3", "=5\r\ntxt:x\r\n"},
  };
  for (const Broken& c : cases) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{16384}}) {
      if (step == 1 && c.stream.size() > 100001) continue;
      SCOPED_TRACE(c.what);
      ReplyReader reader;
      EXPECT_TRUE(read_all(reader, c.stream, step).empty());
      EXPECT_NE(reader.problem(), nullptr);
      reader.feed("+OK\r\n");
      EXPECT_FALSE(reader.next());
    }
  }
}

TEST(RedisReplyReader, BoundsAReplyMadeOfManyElements) {
  ReplyReader reader;
  const std::string element = "$1048576\r\n" + std::string(1048576, 'x') + "\r\n";
  reader.feed("*1000\r\n");
  std::size_t fed = 0;
  while (reader.problem() == nullptr && fed < 2 * ReplyReader::kMaxReplyBytes) {
    reader.feed(element);
    fed += element.size();
    EXPECT_FALSE(reader.next());
  }
  EXPECT_NE(reader.problem(), nullptr);
  EXPECT_LE(fed, ReplyReader::kMaxReplyBytes + 2 * element.size());
}

}  // namespace
}  // namespace cache_invalidate::redis
