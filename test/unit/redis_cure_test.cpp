// Every trouble that a person can do something about has its sentence, and none says what a server said.
#include "redis/cure.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "redis/reply.hpp"

namespace cache_invalidate::redis {
namespace {

struct Expected {
  const char* line;
  const char* part;  // of the cure
};

TEST(RedisCure, IsKnownForReplies) {
  const Expected cases[] = {
      {"NOAUTH Authentication required.", "CREATE USER MAPPING"},
      {"WRONGPASS invalid username-password pair or user is disabled.", "ALTER USER MAPPING"},
      {"ERR invalid password", "ALTER USER MAPPING"},
      {"ERR AUTH <password> called without any password configured", "no password"},
      {"ERR wrong number of arguments for 'auth' command", "\"username\""},
      {"DENIED Redis is running in protected mode", "protected-mode no"},
      {"NOPERM this user has no permissions to run the 'unlink' command", "ACL SETUSER"},
      {"NOPERM No permissions to access a key", "~<key_prefix>*"},
      {"NOPERM No permissions to access a channel", "&<key_prefix>*"},
      {"MISCONF Redis is configured to save RDB snapshots", "stop-writes-on-bgsave-error no"},
      {"READONLY You can't write against a read only replica.", "replica"},
      {"MASTERDOWN Link with MASTER is down", "primary"},
      {"LOADING Valkey is loading the dataset in memory", "loading its data"},
      {"BUSY Redis is busy running a script.", "SCRIPT KILL"},
      {"OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"},
      {"MOVED 3999 127.0.0.1:6381", "cluster"},
      {"TRYAGAIN Multiple keys request during rehashing of slot", "cluster"},
      {"ERR max number of clients reached", "maxclients"},
      {"ERR DB index is out of range", "\"databases\""},
      {"ERR invalid DB index", "\"url\""},
      {"err db INDEX is out of range", "\"url\""},
      {"ERR SELECT is not allowed in cluster mode", "cluster"},
      {"ERR unknown command 'UNLINK'", "rename-command"},
  };
  for (const Expected& c : cases) {
    const char* const cure = cure_for_reply(c.line);
    ASSERT_NE(cure, nullptr) << c.line;
    EXPECT_NE(std::string(cure).find(c.part), std::string::npos) << c.line << ": " << cure;
    EXPECT_EQ(std::string(cure).back(), '.') << cure;
    EXPECT_LT(std::string(cure).size(), 256u) << cure;
  }
}

// Whoever must act can see how.
TEST(RedisCure, IsKnownForEveryReplyThatIsAMatterOfConfiguration) {
  for (const char* line : {"NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH",
                           "ERR operation not permitted", "ERR DB index is out of range", "ERR invalid DB index",
                           "ERR SELECT is not allowed", "ERR unknown command", "ERR unknown subcommand"}) {
    EXPECT_EQ(classify_error(line), ReplyClass::configuration) << line;
    EXPECT_NE(cure_for_reply(line), nullptr) << line;
  }
}

TEST(RedisCure, IsNotMadeUp) {
  for (const char* line : {"", "ERR", "HUNTER2 is your password", "ERR something a later version says", "WRONGTYPE"}) {
    EXPECT_EQ(cure_for_reply(line), nullptr) << line;
  }
  EXPECT_EQ(cure_for(Trouble::unknown), nullptr);
}

TEST(RedisCure, IsKnownForTroubleWithoutAReply) {
  for (int i = 0; i < static_cast<int>(Trouble::unknown); ++i) EXPECT_NE(cure_for(static_cast<Trouble>(i)), nullptr) << i;
  EXPECT_EQ(trouble_of_errno(ECONNREFUSED), Trouble::refused);
  EXPECT_EQ(trouble_of_errno(ENOENT), Trouble::refused);
  EXPECT_EQ(trouble_of_errno(EACCES), Trouble::forbidden);
  EXPECT_EQ(trouble_of_errno(EHOSTUNREACH), Trouble::unreachable);
  EXPECT_EQ(trouble_of_errno(EADDRNOTAVAIL), Trouble::unknown);
}

}  // namespace
}  // namespace cache_invalidate::redis
