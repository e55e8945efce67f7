// The set behind the change set and the pending keys: membership, order, and cutting back to an earlier size.
#include "core/byte_set.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace cache_invalidate::core {
namespace {

TEST(ByteSet, IsEmptyAtFirst) {
  ByteSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.size(), 0u);
  EXPECT_EQ(set.memory(), 0u);
  set.truncate(0);
  set.clear();
  EXPECT_TRUE(set.empty());
}

TEST(ByteSet, NumbersWhatIsNewAndFindsWhatIsKnown) {
  ByteSet set;
  const std::string with_zero("a\0b", 3);
  const std::vector<std::pair<std::uint32_t, std::string>> items = {{0, ""},
                                                                    {0, "a"},
                                                                    {1, "a"},
                                                                    {0, std::string("a\0", 2)},
                                                                    {0, with_zero},
                                                                    {0xFFFFFFFF, ""},
                                                                    {0, "12345678"},
                                                                    {0, "123456789"},
                                                                    {0, std::string(1 << 20, 'x')},
                                                                    {0, "\xff\x80\x01"}};
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < items.size(); ++i) {
      const ByteSet::Added added = set.add(items[i].first, items[i].second);
      EXPECT_EQ(added.index, i);
      EXPECT_EQ(added.inserted, round == 0);
      EXPECT_EQ(set.tag(i), items[i].first);
      EXPECT_EQ(set.bytes(i), items[i].second);
    }
  }
  EXPECT_EQ(set.size(), items.size());
}

TEST(ByteSet, AcceptsAViewWithoutData) {
  ByteSet set;
  EXPECT_TRUE(set.add(0, std::string_view()).inserted);
  EXPECT_FALSE(set.add(0, "").inserted);
}

TEST(ByteSet, ForgetsTheNewestFirstAndTakesThemAgain) {
  ByteSet set;
  for (int i = 0; i < 1000; ++i) set.add(0, "key:" + std::to_string(i));
  set.truncate(400);
  EXPECT_EQ(set.size(), 400u);
  EXPECT_EQ(set.bytes(399), "key:399");
  EXPECT_FALSE(set.add(0, "key:399").inserted);
  const ByteSet::Added added = set.add(0, "key:400");
  EXPECT_TRUE(added.inserted);
  EXPECT_EQ(added.index, 400u);
  set.truncate(1000);  // nothing to forget
  EXPECT_EQ(set.size(), 401u);
}

// Of so many some have the same hash, whatever the hash function: about twenty pairs.
TEST(ByteSet, TellsEntriesOfEqualHashApart) {
  constexpr std::uint32_t kMany = 400000;
  ByteSet set;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    const std::string bytes = "entry:" + std::to_string(1000000 + i);
    ASSERT_TRUE(set.add(i % 2, bytes).inserted) << bytes;
  }
  EXPECT_EQ(set.size(), kMany);
}

// Small alphabets and tables that are full to the limit: long probe runs, cut back again and again. Every other time the set stays so
// small that it is indexed and not indexed in turns.
TEST(ByteSet, AgreesWithAnOrderedMapOverRandomOperations) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::uint32_t various = seed % 2 == 0 ? 20 : 2000;
    ByteSet set;
    std::vector<std::pair<std::uint32_t, std::string>> order;
    std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> known;
    for (int step = 0; step < 3000; ++step) {
      if (random() % (seed % 2 == 0 ? 16 : 64) == 0) {
        const auto size = static_cast<std::uint32_t>(random() % (order.size() + 1));
        set.truncate(size);
        for (; order.size() > size; order.pop_back()) known.erase(order.back());
        if (random() % 8 == 0) {
          set.clear();
          order.clear();
          known.clear();
        }
      } else {
        const std::pair<std::uint32_t, std::string> item(random() % 3, std::to_string(random() % various));
        const ByteSet::Added added = set.add(item.first, item.second);
        const auto place = known.emplace(item, static_cast<std::uint32_t>(order.size()));
        ASSERT_EQ(added.inserted, place.second);
        ASSERT_EQ(added.index, place.first->second);
        if (place.second) order.push_back(item);
      }
      ASSERT_EQ(set.size(), order.size());
    }
    for (std::uint32_t i = 0; i < set.size(); ++i) {
      ASSERT_EQ(set.tag(i), order[i].first);
      ASSERT_EQ(set.bytes(i), order[i].second);
    }
  }
}

TEST(ByteSet, KeepsSmallMemoryWhenClearedAndGivesBackMuch) {
  ByteSet set;
  for (int i = 0; i < 10; ++i) set.add(0, std::to_string(i));
  const std::size_t small = set.memory();
  set.clear();
  EXPECT_GT(set.memory(), 0u);
  EXPECT_LE(set.memory(), small);
  for (int i = 0; i < 100000; ++i) set.add(0, std::to_string(i));
  EXPECT_GT(set.memory(), 1000000u);
  set.clear();
  EXPECT_EQ(set.memory(), 0u);
  EXPECT_TRUE(set.add(0, "1").inserted);
}

TEST(ByteSet, SwapsContents) {
  ByteSet a;
  ByteSet b;
  a.add(1, "in a");
  a.swap(b);
  EXPECT_TRUE(a.empty());
  EXPECT_FALSE(b.add(1, "in a").inserted);
}

}  // namespace
}  // namespace cache_invalidate::core
