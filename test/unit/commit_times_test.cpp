// The commit times of positions: the oldest that somebody lacks.
#include "core/commit_times.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kNone = -1;

TEST(CommitTimes, KnowsNothingAtFirst) {
  const CommitTimes times;
  EXPECT_EQ(times.oldest_behind(0, kNone), kNone);
}

TEST(CommitTimes, TellsTheOldestThatIsLacked) {
  CommitTimes times;
  times.add(1, 100);
  times.add(2, 200);
  times.add(4, 400);
  EXPECT_EQ(times.oldest_behind(0, kNone), 100);
  EXPECT_EQ(times.oldest_behind(1, kNone), 200);
  EXPECT_EQ(times.oldest_behind(2, kNone), 400);
  EXPECT_EQ(times.oldest_behind(3, kNone), 400);
  EXPECT_EQ(times.oldest_behind(4, kNone), kNone);
  times.forget(2);
  EXPECT_EQ(times.oldest_behind(0, kNone), 400);
}

// A scan of the journal gives batches in the order in which they lie there.
TEST(CommitTimes, TimesMayComeOutOfTurn) {
  CommitTimes times;
  times.add(1, 300);
  times.add(2, 400);
  times.add(3, 100);
  times.add(4, 500);
  EXPECT_EQ(times.oldest_behind(0, kNone), 100);
  EXPECT_EQ(times.oldest_behind(2, kNone), 100);
  EXPECT_EQ(times.oldest_behind(3, kNone), 500);
}

TEST(CommitTimes, APositionHasTheOldestTimeOfItsChunks) {
  CommitTimes times;
  times.add(1, 50);
  times.add(2, 300);
  times.add(2, 200);
  times.add(2, 400);
  EXPECT_EQ(times.oldest_behind(0, kNone), 50);
  EXPECT_EQ(times.oldest_behind(1, kNone), 200);
  EXPECT_EQ(times.oldest_behind(2, kNone), kNone);
}

TEST(CommitTimes, NeverTellsTooYoungATimeHoweverManyThereAre) {
  CommitTimes times;
  std::vector<std::int64_t> all{0};
  std::mt19937 random(7);
  for (std::uint64_t position = 1; position <= 3 * CommitTimes::kMost; ++position) {
    all.push_back(static_cast<std::int64_t>(position * 10 + random() % 50));
    times.add(position, all.back());
  }
  for (std::uint64_t lacked = 0; lacked < all.size() - 1; lacked += 97) {
    const std::int64_t oldest = *std::min_element(all.begin() + static_cast<std::ptrdiff_t>(lacked) + 1, all.end());
    const std::int64_t told = times.oldest_behind(lacked, kNone);
    ASSERT_LE(told, oldest) << lacked;
    ASSERT_GE(told, oldest - 200) << lacked;  // a few neighbours share one
  }
  times.forget(all.size() - 1);
  EXPECT_EQ(times.oldest_behind(0, kNone), kNone);
}

}  // namespace
}  // namespace cache_invalidate::core
