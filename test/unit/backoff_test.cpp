// The waits between attempts.
#include "core/backoff.hpp"

#include <gtest/gtest.h>

namespace cache_invalidate::core {
namespace {

constexpr std::uint32_t kLeast = 0;
constexpr std::uint32_t kMost = 0xFFFFFFFF;

TEST(Backoff, BeginsAtOnceAndDoublesToThirtySeconds) {
  const std::int64_t bases[] = {0, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
  Backoff shortest;
  Backoff longest;
  Backoff middle;
  for (const std::int64_t base : bases) {
    EXPECT_EQ(shortest.next(kLeast), base - base / 5);
    EXPECT_EQ(longest.next(kMost), base + base / 5);
    EXPECT_NEAR(static_cast<double>(middle.next(kMost / 2)), static_cast<double>(base), 1);
  }
}

TEST(Backoff, BeginsAnewAfterSuccess) {
  Backoff backoff;
  for (int i = 0; i < 5; ++i) backoff.next(kLeast);
  backoff.reset();
  EXPECT_EQ(backoff.next(kMost), 0);
  EXPECT_EQ(backoff.next(kMost), 1200);
}

TEST(Backoff, IsSlowFromTheStartWhenToldSo) {
  Backoff backoff;
  backoff.slow_down();
  EXPECT_EQ(backoff.next(kLeast), 24000);
  EXPECT_EQ(backoff.next(kMost), 36000);
}

}  // namespace
}  // namespace cache_invalidate::core
