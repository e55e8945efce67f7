// How long deliveries take: the histogram, and what is under way.
#include "core/latency.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace cache_invalidate::core {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  Histogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.percentile(0.5), 0);
  EXPECT_EQ(empty.most(), 0);
}

TEST(Histogram, IsRightWithinAFifth) {
  for (std::int64_t value = 1; value < 5000000000; value = value * 21 / 20 + 1) {
    Histogram one;
    one.add(value);
    one.add(10 * value);  // so that the maximum does not cut the bucket
    const std::int64_t told = one.percentile(0.5);
    ASSERT_GE(told, value);
    ASSERT_LE(told, value + value / 4);
  }
}

TEST(Histogram, TellsPercentiles) {
  Histogram many;
  for (int i = 1; i <= 1000; ++i) many.add(i);
  EXPECT_EQ(many.count(), 1000u);
  EXPECT_NEAR(static_cast<double>(many.percentile(0.5)), 500, 125);
  EXPECT_NEAR(static_cast<double>(many.percentile(0.99)), 990, 20);
  EXPECT_EQ(many.percentile(1), 1000);
  EXPECT_EQ(many.most(), 1000);
}

TEST(Histogram, TakesWhateverItIsGiven) {
  Histogram odd;
  odd.add(-5);
  odd.add(INT64_MAX);
  EXPECT_EQ(odd.count(), 2u);
  EXPECT_EQ(odd.percentile(0.1), 0);
  EXPECT_EQ(odd.most(), INT64_MAX);
}

TEST(Histogram, AddsAnother) {
  Histogram a;
  Histogram b;
  a.add(100, 3);
  b.add(900);
  a.add(b);
  EXPECT_EQ(a.count(), 4u);
  EXPECT_EQ(a.most(), 900);
  a.clear();
  EXPECT_EQ(a.count(), 0u);
  EXPECT_EQ(a.most(), 0);
}

TEST(LatencyWatch, MeasuresWhatArrived) {
  LatencyWatch watch;
  Histogram latency;
  watch.begin(1, 1000);
  watch.begin(2, 1500);
  watch.begin(5, 2000);
  watch.arrived(0, 3000, latency);
  EXPECT_EQ(latency.count(), 0u);
  watch.arrived(4, 3000, latency);
  EXPECT_EQ(latency.count(), 2u);
  EXPECT_EQ(latency.most(), 2000);
  watch.arrived(5, 2010, latency);
  EXPECT_EQ(latency.count(), 3u);
  watch.arrived(100, 9000, latency);
  EXPECT_EQ(latency.count(), 3u);
}

TEST(LatencyWatch, CountsEachOfVeryManyWithBoundedMemory) {
  LatencyWatch watch;
  Histogram latency;
  for (std::uint64_t position = 1; position <= 100000; ++position) watch.begin(position, static_cast<std::int64_t>(position));
  watch.arrived(99999, 200000, latency);
  EXPECT_LT(latency.count(), 5000u) << "those that share a place have not all arrived";
  watch.arrived(100000, 200000, latency);
  EXPECT_EQ(latency.count(), 100000u);
  EXPECT_GE(latency.percentile(0.01), 100000) << "never too short";
}

}  // namespace
}  // namespace cache_invalidate::core
