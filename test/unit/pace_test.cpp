// When the worker waits for more, and when it does not.
#include "core/pace.hpp"

#include <gtest/gtest.h>

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kStart = 1000000;

TEST(Pace, WaitsForNothingAfterOneAlone) {
  Pace pace;
  pace.note(1, kStart);
  EXPECT_EQ(pace.until(kStart), 0);
  pace.note(5, kStart + Pace::kShortest);
  EXPECT_EQ(pace.until(kStart + Pace::kShortest), 0);
}

TEST(Pace, WaitsWhenMoreComesAtOnce) {
  Pace pace;
  pace.note(1, kStart);
  pace.note(1, kStart + Pace::kShortest - 1);
  EXPECT_EQ(pace.until(kStart + Pace::kShortest + 20), kStart + 2 * Pace::kShortest - 1);
}

TEST(Pace, IsKeptWhileSeveralComeWithinIt) {
  Pace pace;
  pace.note(1, kStart);
  pace.note(1, kStart + 1);
  for (std::int64_t now = kStart + 1; now < kStart + 10000; now += Pace::kShortest + 50) {
    pace.note(2, now);
    EXPECT_EQ(pace.until(now + 10), now + Pace::kShortest);
  }
  pace.note(1, kStart + 11000);
  EXPECT_EQ(pace.until(kStart + 20000), 0);
}

TEST(Pace, EndsWhenNothingComes) {
  Pace pace;
  pace.note(1, kStart);
  pace.note(1, kStart + 1);
  pace.note(0, kStart + Pace::kShortest);
  EXPECT_EQ(pace.until(kStart + 20000), 0);
  pace.note(3, kStart + 3 * Pace::kShortest);
  EXPECT_EQ(pace.until(kStart + 20000), 0);
}

TEST(Pace, IsNotLongerWhenTheClockIsSetBack) {
  Pace pace;
  pace.note(1, kStart);
  pace.note(2, kStart + 1);
  EXPECT_EQ(pace.until(kStart - 500000), kStart - 500000 + Pace::kShortest);
}

}  // namespace
}  // namespace cache_invalidate::core
