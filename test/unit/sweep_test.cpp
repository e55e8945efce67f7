// The sweep against a scripted server: what it asks for, what it deletes of the answers, and when a pass is over.
#include "delivery/sweep.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "redis_fake_server.hpp"

namespace cache_invalidate::delivery {
namespace {

using Words = std::vector<std::string>;

std::string scan_reply(const std::string& cursor, const Words& keys) {
  std::string out = "*2\r\n$" + std::to_string(cursor.size()) + "\r\n" + cursor + "\r\n*" + std::to_string(keys.size()) + "\r\n";
  for (const std::string& key : keys) out += "$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
  return out;
}

class SweepTest : public testing::Test {
 protected:
  SweepTest() {
    redis::ConnectionOptions options;
    options.endpoint = server_.endpoint();
    connection_ = std::make_unique<redis::Connection>(options);
    connection_->open();
    server_.answer("+OK\r\n");
    play([&] { return connection_->state() == redis::Connection::State::ready; });
  }

  template <typename Done>
  void play(Done done) {
    for (int i = 0; i < 1000 && !done(); ++i) {
      pollfd events[2] = {server_.interest(), {connection_->fd(), POLLIN, 0}};
      if (connection_->wants_write()) events[1].events |= POLLOUT;
      ASSERT_GT(poll(events, 2, 10000), 0) << "nothing comes";
      server_.on_event(events[0].revents);
      if (events[1].revents != 0) connection_->on_ready((events[1].revents & ~POLLOUT) != 0, (events[1].revents & POLLOUT) != 0);
    }
    ASSERT_TRUE(done());
  }

  // What the server received since the last call, without the framing.
  std::string received() {
    EXPECT_TRUE(connection_->flush());
    const std::uint64_t before = sent_;
    sent_ = connection_->bytes_sent() + connection_->unsent_bytes();
    if (sent_ > before) play([&] { return server_.received().size() >= sent_ - forgotten_; });
    std::string out;
    const std::string raw = server_.received();
    forgotten_ += raw.size();
    server_.forget();
    std::size_t at = 0;
    while (at < raw.size()) {
      const std::size_t end = raw.find("\r\n", at);
      const std::size_t number = std::stoul(raw.substr(at + 1, end - at - 1));
      if (raw[at] == '*') {
        if (!out.empty()) out += "; ";
        at = end + 2;
      } else {
        if (!out.empty() && out.back() != ' ') out += ' ';
        out += raw.substr(end + 2, number);
        at = end + 4 + number;
      }
    }
    return out;
  }

  redis::Reply reply(const std::string& bytes) {
    server_.answer(bytes);
    std::optional<redis::Reply> answer;
    play([&] { return answer || (answer = connection_->next_reply()).has_value(); });
    return *answer;
  }

  // Sends; what the server got.
  std::string send() {
    const Sweep::Sent sent = sweep_.send(*connection_, prefixes_);
    const std::string got = received();
    if (sent.size) sweep_.take_size(reply(":1000\r\n"));
    return got;
  }
  // A slice is answered with these keys; what the server got then.
  std::string take(const std::string& cursor, const Words& keys) {
    std::vector<std::uint32_t> deletes;
    EXPECT_TRUE(sweep_.take(reply(scan_reply(cursor, keys)), *connection_, prefixes_, false, deletes));
    deletes_ += deletes.size();
    return received();
  }
  void answer_deletes() {
    for (; deletes_ > 0; --deletes_) {
      reply(":1\r\n");
      sweep_.note_deleted();
    }
  }

  redis::FakeServer server_;
  std::unique_ptr<redis::Connection> connection_;
  core::PendingPatterns patterns_;
  Sweep sweep_{patterns_};
  Sweep::Prefixes prefixes_;
  std::size_t deletes_ = 0;
  std::uint64_t sent_ = 0, forgotten_ = 0;
};

TEST_F(SweepTest, LeavesOnePatternToTheServer) {
  received();
  EXPECT_EQ(send(), "");
  prefixes_ = {"[app]", ""};
  patterns_.add("item:?", 0, 1);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH \\[app\\]item:? COUNT 256");
  EXPECT_EQ(send(), "") << "one slice at a time";
  EXPECT_EQ(take("77:opaque", {"[app]item:1", "[app]item:2"}), "UNLINK [app]item:1 [app]item:2");
  EXPECT_EQ(sweep_.scanned(), 256u);
  EXPECT_EQ(*sweep_.total(), 1000u);
  EXPECT_EQ(send(), "SCAN 77:opaque MATCH \\[app\\]item:? COUNT 256");
  EXPECT_EQ(take("0", {}), "") << "an empty slice";
  EXPECT_TRUE(sweep_.is_running()) << "deletes are not answered";
  EXPECT_EQ(patterns_.acknowledged(), 0u);
  EXPECT_EQ(send(), "");
  answer_deletes();
  EXPECT_FALSE(sweep_.is_running());
  EXPECT_EQ(patterns_.acknowledged(), 1u);
}

TEST_F(SweepTest, LooksForSeveralPatternsInOnePass) {
  received();
  prefixes_ = {"p:", ""};
  for (const char* glob : {"item:\\*:[12]*", "item:\\*:x?", "item:\\*:[12]*"}) patterns_.add(glob, 0, 1);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH p:item:\\*:* COUNT 256");
  patterns_.add("other:*", 0, 2);
  EXPECT_EQ(take("5", {"p:item:*:1", "p:item:*:3", "p:item:*:x", "p:item:*:xy", "p:item:*:2z"}), "UNLINK p:item:*:1 p:item:*:xy p:item:*:2z");
  answer_deletes();
  EXPECT_EQ(send(), "SCAN 5 MATCH p:item:\\*:* COUNT 256");
  EXPECT_EQ(take("0", {"p:item:*:4"}), "");
  EXPECT_FALSE(sweep_.is_running());
  EXPECT_EQ(patterns_.acknowledged(), 1u);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH p:other:* COUNT 256") << "what came meanwhile has the next pass";
}

TEST_F(SweepTest, TakesManyPatternsInPasses) {
  received();
  for (std::size_t i = 0; i < Sweep::kPatternsPerPass + 1; ++i) patterns_.add("k" + std::to_string(i), 0, 1);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH k* COUNT 256");
  EXPECT_EQ(take("0", {"k1", "k100", "k99"}), "UNLINK k1 k99");
  answer_deletes();
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH k100 COUNT 256");
}

TEST_F(SweepTest, GivesNoServerAGlobThatTakesLong) {
  received();
  patterns_.add("a:*b*c*d*e*", 0, 1);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH a:* COUNT 256");
  EXPECT_EQ(take("0", {"a:bcd", "a:bcde"}), "UNLINK a:bcde");
  answer_deletes();
  patterns_.add(std::string(5000, 'x') + "*", 0, 2);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH " + std::string(1024, 'x') + "* COUNT 256");
}

TEST_F(SweepTest, DeletesAKeyWithItsLease) {
  received();
  prefixes_ = {"p:", "lease:"};
  patterns_.add("item:*", 0, 1);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH p:* COUNT 256");
  EXPECT_EQ(take("9", {"p:item:2", "p:lease:item:1", "p:lease:other:1", "p:item:1", "p:other"}),
            "UNLINK p:lease:item:1 p:item:1 p:lease:item:2 p:item:2");
  EXPECT_EQ(send(), "SCAN 9 MATCH p:* COUNT 256");
  answer_deletes();
  EXPECT_EQ(take("0", {"p:lease:item:3"}), "UNLINK p:lease:item:3 p:item:3") << "also one whose key is not there yet";
}

TEST_F(SweepTest, KeepsItsCommandsShort) {
  received();
  patterns_.add("*", 0, 1);
  send();
  Words keys;
  for (int i = 0; i < 300; ++i) keys.push_back(std::to_string(i));
  take("0", keys);
  EXPECT_EQ(deletes_, 3u);
  answer_deletes();
  EXPECT_FALSE(sweep_.is_running());
}

TEST_F(SweepTest, TriesTheKeysOfARefusedDeleteOneByOne) {
  received();
  patterns_.add("*", 0, 1);
  send();
  take("0", {"a", "b"});
  reply("-NOPERM no access to a key\r\n");
  sweep_.single_out(*connection_, prefixes_, true);
  EXPECT_EQ(received(), "DEL a; DEL b");
  deletes_ = 2;
  EXPECT_TRUE(sweep_.is_running());
  answer_deletes();
  EXPECT_FALSE(sweep_.is_running());
}

TEST_F(SweepTest, BeginsAgainWhenTheConnectionIsLost) {
  received();
  patterns_.add("a*", 0, 1);
  send();
  take("5", {"a1"});
  send();
  sweep_.put_back();
  EXPECT_FALSE(sweep_.is_running());
  EXPECT_EQ(patterns_.acknowledged(), 0u);
  patterns_.add("ab*", 0, 2);
  EXPECT_EQ(send(), "DBSIZE; SCAN 0 MATCH a* COUNT 256");
  EXPECT_EQ(sweep_.scanned(), 0u);
}

TEST_F(SweepTest, TakesNothingElseForAnAnswer) {
  received();
  patterns_.add("*", 0, 1);
  send();
  std::vector<std::uint32_t> deletes;
  EXPECT_FALSE(sweep_.take(reply("*2\r\n$1\r\n0\r\n$1\r\nx\r\n"), *connection_, prefixes_, false, deletes));
  EXPECT_TRUE(sweep_.is_running());
}

}  // namespace
}  // namespace cache_invalidate::delivery
