// What the worker remembers durably of its deliveries.
#include "core/watermark.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

XidSnapshot snapshot(std::uint64_t xmin, std::uint64_t xmax, std::vector<std::uint64_t> in_progress) {
  XidSnapshot made;
  made.xmin = xmin;
  made.xmax = xmax;
  made.in_progress = std::move(in_progress);
  return made;
}

Watermark mark() {
  Watermark made;
  made.sequence = 0x123456789ABCDEF0;
  made.system = 0xFEDCBA9876543210;
  made.discarded_until = 1767323045678901;
  const std::uint64_t epoch = std::uint64_t{7} << 32;
  made.entries = {{0, snapshot(epoch, epoch + 1000, {epoch, epoch + 500, epoch + 999})},
                  {16400, snapshot(epoch, epoch + 1000, {epoch, epoch + 500, epoch + 999}), true, "0123abcd master"},
                  {16401, snapshot(5, 5, {}), false, std::string("\0\xff", 2)},
                  {0xFFFFFFFF, XidSnapshot(), true}};
  made.ring_only = true;
  return made;
}

TEST(Watermark, IsReadAsItWasWritten) {
  for (const Watermark& written : {mark(), Watermark()}) {
    const Result<Watermark> read = Watermark::decode(written.encode());
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read.value().sequence, written.sequence);
    EXPECT_TRUE(read.value().equals(written));
  }
}

TEST(Watermark, WritesEqualSnapshotsOnce) {
  Watermark one = mark();
  one.entries.resize(1);
  Watermark two = mark();
  two.entries.resize(2);
  two.entries[1].identity.clear();
  EXPECT_LE(two.encode().size(), one.encode().size() + 5);
}

TEST(Watermark, IsEqualWhateverItsNumber) {
  Watermark other = mark();
  ++other.sequence;
  EXPECT_TRUE(other.equals(mark()));
  other.entries[0].snapshot.written_before = 1;
  EXPECT_TRUE(other.equals(mark()));
  for (int part = 0; part < 7; ++part) {
    other = mark();
    if (part == 0) other.ring_only = false;
    if (part == 1) other.entries[1].reset_due = false;
    if (part == 2) other.entries[1].identity += 'x';
    if (part == 3) other.entries[1].target = 7;
    if (part == 4) other.entries[1].snapshot.xmin = 1;
    if (part == 5) other.system = 1;
    if (part == 6) other.discarded_until = 1;
    EXPECT_FALSE(other.equals(mark())) << part;
  }
}

TEST(Watermark, FindsTargets) {
  const Watermark written = mark();
  ASSERT_NE(written.find(0), nullptr);
  EXPECT_EQ(written.find(16401)->snapshot.xmax, 5u);
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
  EXPECT_FALSE(Watermark::decode(std::string("\x02\x00\x00\x00\x00\x01\x05\x01\x00", 9)).ok()) << "the same as none";
  EXPECT_FALSE(Watermark::decode(std::string("\x02\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15)).ok())
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
