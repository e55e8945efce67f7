// Snapshots of transactions, and the watermark that is made of them.
#include "core/snapshot.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cache_invalidate::core {
namespace {

XidSnapshot snapshot(std::uint64_t xmin, std::uint64_t xmax, std::vector<std::uint64_t> in_progress) {
  XidSnapshot made;
  made.xmin = xmin;
  made.xmax = xmax;
  made.in_progress = std::move(in_progress);
  return made;
}

TEST(Snapshot, ContainsNothingWhenEmpty) {
  const XidSnapshot empty;
  for (const std::uint64_t xid : {std::uint64_t{0}, std::uint64_t{3}, ~std::uint64_t{0}})
    EXPECT_FALSE(empty.contains(xid));
}

TEST(Snapshot, ContainsWhatHadEnded) {
  const std::uint64_t epoch = std::uint64_t{1} << 32;
  const XidSnapshot s = snapshot(epoch - 2, epoch + 5, {epoch - 2, epoch, epoch + 3});
  const std::vector<std::pair<std::uint64_t, bool>> cases = {{3, true},
                                                             {epoch - 3, true},
                                                             {epoch - 2, false},
                                                             {epoch - 1, true},
                                                             {epoch, false},
                                                             {epoch + 1, true},
                                                             {epoch + 2, true},
                                                             {epoch + 3, false},
                                                             {epoch + 4, true},
                                                             {epoch + 5, false},
                                                             {epoch + 6, false},
                                                             {2 * epoch, false},
                                                             {~std::uint64_t{0}, false}};
  for (const auto& [xid, contained] : cases) EXPECT_EQ(s.contains(xid), contained) << xid;
}

Watermark mark() {
  Watermark made;
  made.sequence = 0x123456789ABCDEF0;
  const std::uint64_t epoch = std::uint64_t{7} << 32;
  made.entries = {{0, snapshot(epoch, epoch + 1000, {epoch, epoch + 500, epoch + 999})},
                  {16400, snapshot(epoch, epoch + 1000, {epoch, epoch + 500, epoch + 999})},
                  {16401, snapshot(5, 5, {})},
                  {0xFFFFFFFF, XidSnapshot()}};
  return made;
}

TEST(Watermark, IsReadAsItWasWritten) {
  for (const Watermark& written : {mark(), Watermark()}) {
    const Result<Watermark> read = Watermark::decode(written.encode());
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read.value().sequence, written.sequence);
    ASSERT_EQ(read.value().entries.size(), written.entries.size());
    for (std::size_t i = 0; i < written.entries.size(); ++i) {
      EXPECT_EQ(read.value().entries[i].target, written.entries[i].target);
      EXPECT_TRUE(read.value().entries[i].snapshot == written.entries[i].snapshot);
    }
  }
}

TEST(Watermark, WritesEqualSnapshotsOnce) {
  Watermark one = mark();
  one.entries.resize(1);
  Watermark two = mark();
  two.entries.resize(2);
  EXPECT_LE(two.encode().size(), one.encode().size() + 5);
}

TEST(Watermark, FindsTargets) {
  const Watermark written = mark();
  ASSERT_NE(written.find(0), nullptr);
  EXPECT_EQ(written.find(16401)->xmax, 5u);
  EXPECT_EQ(written.find(16402), nullptr);
}

TEST(Watermark, RefusesDamage) {
  const std::string bytes = mark().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Result<Watermark> read = Watermark::decode(std::string(bytes, 0, size));
    ASSERT_FALSE(read.ok()) << "cut at " << size;
    EXPECT_STREQ(read.error().sqlstate, "XX001");
    EXPECT_EQ(read.error().message, "journal row is not a watermark of this version");
  }
  EXPECT_FALSE(Watermark::decode(bytes + '\0').ok()) << "something behind the end";
  EXPECT_FALSE(Watermark::decode('\x01' + bytes.substr(1)).ok()) << "a batch, or another version";
  EXPECT_FALSE(Watermark::decode(std::string("\x02\x00\x01\x05\x01", 5)).ok()) << "the same as none";
  EXPECT_FALSE(Watermark::decode(std::string("\x02\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12)).ok())
      << "too many";
}

TEST(Watermark, SurvivesRandomDamage) {
  const std::string bytes = mark().encode();
  std::mt19937 random(5);
  for (int round = 0; round < 50000; ++round) {
    std::string damaged = bytes;
    for (auto flips = 1 + random() % 4; flips > 0; --flips) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
    }
    const Result<Watermark> read = Watermark::decode(damaged);
    if (!read.ok()) continue;
    for (const Watermark::Entry& entry : read.value().entries) entry.snapshot.contains(random());
  }
}

}  // namespace
}  // namespace cache_invalidate::core
