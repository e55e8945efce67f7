// Who a server is, from what it answers to INFO, and when it may have forgotten what was deleted.
#include "redis/identity.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cache_invalidate::redis {
namespace {

constexpr const char* kServer = "# Server\r\nredis_version:7.0.15\r\nrun_id:aaa1\r\ntcp_port:6379\r\n";
constexpr const char* kReplication = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:bbb2\r\nmaster_replid2:000\r\n";

TEST(RedisIdentity, IsRunIdReplicationIdAndRole) {
  EXPECT_EQ(identity_of(kServer, kReplication), "aaa1 bbb2 master");
  EXPECT_EQ(identity_of("run_id:x", "role:slave\nmaster_replid:y"), "x y slave");
}

TEST(RedisIdentity, HasADashForWhatIsNotTold) {
  EXPECT_EQ(identity_of("", ""), "");
  EXPECT_EQ(identity_of(kServer, ""), "aaa1 - -");
  EXPECT_EQ(identity_of("", kReplication), "- bbb2 master");
  EXPECT_EQ(identity_of("redis_version:7\r\nxrun_id:1\r\nrun_id\r\nrun_id:\r\n", ""), "");
}

TEST(RedisIdentity, TakesNothingOdd) {
  EXPECT_EQ(identity_of("run_id:a b\r\n", "role:m'; DROP\r\nmaster_replid:ok\r\n"), "- ok -");
  EXPECT_EQ(identity_of("run_id:" + std::string(65, 'a'), ""), "");
  EXPECT_EQ(identity_of("run_id:" + std::string(64, 'a'), ""), std::string(64, 'a') + " - -");
  EXPECT_EQ(identity_of(std::string("run_id:a\0b\r\n", 12), ""), "");
}

TEST(IdentityWatch, TakesTheFirstWithoutSuspicion) {
  IdentityWatch watch;
  EXPECT_EQ(watch.contact(), 0);
  EXPECT_FALSE(watch.connected("a", 10));
  EXPECT_FALSE(watch.take_forgot());
  EXPECT_EQ(watch.identity(), "a");
  EXPECT_EQ(watch.contact(), 10);
  EXPECT_FALSE(watch.connected("a", 20));
  EXPECT_FALSE(watch.take_forgot());
}

TEST(IdentityWatch, SuspectsAnotherOnceEach) {
  IdentityWatch watch;
  watch.connected("a", 10);
  watch.answered(15);
  EXPECT_TRUE(watch.connected("b", 30));
  EXPECT_EQ(watch.contact(), 15);
  watch.answered(35);
  EXPECT_EQ(watch.contact(), 15) << "until it was asked for, it tells when the old one answered";
  EXPECT_TRUE(watch.take_forgot());
  EXPECT_FALSE(watch.take_forgot());
  EXPECT_EQ(watch.contact(), 15);
  watch.answered(40);
  EXPECT_EQ(watch.contact(), 40);
  EXPECT_FALSE(watch.connected("b", 50));
  EXPECT_FALSE(watch.take_forgot());
}

TEST(IdentityWatch, KnowsWhatAnEarlierWorkerKnew) {
  IdentityWatch same;
  same.expect("a");
  EXPECT_EQ(same.identity(), "a");
  EXPECT_FALSE(same.connected("a", 10));
  EXPECT_FALSE(same.take_forgot());
  IdentityWatch other;
  other.expect("a");
  EXPECT_TRUE(other.connected("b", 10));
  EXPECT_TRUE(other.take_forgot());
  IdentityWatch silent;
  silent.expect("a");
  EXPECT_FALSE(silent.connected("", 10));
  EXPECT_TRUE(silent.take_forgot());
}

TEST(IdentityWatch, SuspectsEveryReconnectOfAServerThatDoesNotTell) {
  IdentityWatch watch;
  watch.expect("");
  watch.connected("", 10);
  EXPECT_FALSE(watch.take_forgot()) << "nothing was delivered to it before";
  watch.checked("", 20);
  EXPECT_FALSE(watch.take_forgot()) << "the connection is the same";
  watch.connected("", 30);
  EXPECT_TRUE(watch.take_forgot());
  EXPECT_FALSE(watch.connected("a", 40));
  EXPECT_TRUE(watch.take_forgot()) << "now it tells, but who was it before?";
}

TEST(IdentityWatch, SeesAChangeWithoutAReconnect) {
  IdentityWatch watch;
  watch.connected("a r master", 10);
  watch.answered(20);
  EXPECT_FALSE(watch.checked("a r master", 30));
  watch.answered(50);
  EXPECT_TRUE(watch.checked("a s slave", 60));
  EXPECT_EQ(watch.contact(), 30) << "it may have been another since it was last asked";
  EXPECT_TRUE(watch.take_forgot());
  watch.answered(70);
  EXPECT_EQ(watch.contact(), 70);
}

TEST(IdentityWatch, SuspectsWhereItWasSentElsewhere) {
  IdentityWatch watch;
  watch.expect_another();
  watch.connected("a", 10);
  EXPECT_FALSE(watch.take_forgot()) << "nothing was delivered before";
  watch.expect_another();
  EXPECT_FALSE(watch.connected("a", 20)) << "somebody altered the server: that is no news";
  EXPECT_TRUE(watch.take_forgot());
}

}  // namespace
}  // namespace cache_invalidate::redis
