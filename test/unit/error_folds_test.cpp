// Equal errors, folded for the log.
#include "core/error_folds.hpp"

#include <gtest/gtest.h>

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::uint64_t kNone = ~std::uint64_t{0};

ErrorRecord error(std::string_view message, std::string_view operation = "INSERT", std::string_view context = "trigger of table a.b") {
  return {"b", operation, message, context};
}

// Writes what is due, each under the next number.
std::size_t write(ErrorFolds& folds, bool counts, std::int64_t& next) {
  std::size_t written = 0;
  for (ErrorFold* fold : folds.due(counts, 1000)) {
    folds.note_written(*fold, fold->row != 0 ? fold->row : next++);
    ++written;
  }
  return written;
}

TEST(ErrorFolds, TheFirstIsDueAtOnceAndTheRestIsCounted) {
  ErrorFolds folds;
  std::int64_t row = 1;
  EXPECT_FALSE(folds.has_new());
  EXPECT_EQ(folds.oldest(kNone), kNone);
  folds.add(error("broken"), 10, 1);
  folds.add(error("broken"), 12, 2);
  EXPECT_TRUE(folds.has_new());
  EXPECT_EQ(folds.oldest(kNone), 1U);
  const auto due = folds.due(false, 1000);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0]->count, 2U);
  EXPECT_EQ(due[0]->first, 10);
  EXPECT_EQ(due[0]->last, 12);
  EXPECT_EQ(write(folds, false, row), 1U);
  EXPECT_FALSE(folds.has_new());
  EXPECT_FALSE(folds.has_counts());
  EXPECT_EQ(folds.oldest(kNone), kNone);

  folds.add(error("broken"), 20, 3);
  folds.add(error("broken"), 15, 4);
  EXPECT_EQ(folds.oldest(kNone), kNone) << "its row stands for it";
  EXPECT_FALSE(folds.has_new());
  EXPECT_TRUE(folds.has_counts());
  EXPECT_TRUE(folds.due(false, 1000).empty());
  const auto counts = folds.due(true, 1000);
  ASSERT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts[0]->row, 1);
  EXPECT_EQ(counts[0]->count, 2U);
  EXPECT_EQ(counts[0]->first, 15);
  EXPECT_EQ(counts[0]->last, 20);
  EXPECT_EQ(write(folds, true, row), 1U);
  EXPECT_FALSE(folds.has_counts());
}

TEST(ErrorFolds, AreEqualByContextOperationAndMessage) {
  ErrorFolds folds;
  folds.add(error("one"), 1, 1);
  folds.add(error("two"), 1, 2);
  folds.add(error("one", "DELETE"), 1, 3);
  folds.add(error("one", "INSERT", "trigger of table c.b"), 1, 4);
  folds.add(error("one"), 1, 5);
  const auto due = folds.due(false, 1000);
  ASSERT_EQ(due.size(), 4U);
  EXPECT_EQ(due[0]->count, 2U);
  EXPECT_EQ(due[1]->message, "two");
  EXPECT_EQ(due[3]->context, "trigger of table c.b");
  EXPECT_EQ(folds.due(false, 3).size(), 3U);
}

TEST(ErrorFolds, LastAnHour) {
  ErrorFolds folds;
  std::int64_t row = 1;
  folds.add(error("broken"), kSecond, 1);
  write(folds, false, row);
  folds.add(error("broken"), kHour + kSecond - 1, 2);
  EXPECT_FALSE(folds.has_new());
  folds.add(error("broken"), kHour + kSecond, 3);
  EXPECT_TRUE(folds.has_new()) << "a new row begins";
  EXPECT_TRUE(folds.has_counts()) << "and the old one is not forgotten";
  EXPECT_EQ(write(folds, true, row), 2U);
  EXPECT_EQ(row, 3);
  folds.settle(kHour + 2 * kSecond);
  folds.add(error("broken"), kHour + 3 * kSecond, 4);
  const auto due = folds.due(true, 1000);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0]->row, 2);
}

TEST(ErrorFolds, SettlingKeepsWhatIsNotWritten) {
  ErrorFolds folds;
  std::int64_t row = 1;
  folds.add(error("written"), 0, 1);
  write(folds, false, row);
  folds.add(error("written"), 1, 2);
  folds.add(error("new"), 2, 3);
  folds.settle(3 * kHour);
  EXPECT_EQ(folds.oldest(kNone), 3U);
  EXPECT_EQ(write(folds, true, row), 2U);
  folds.settle(3 * kHour);
  EXPECT_TRUE(folds.due(true, 1000).empty());
}

TEST(ErrorFolds, ARowThatIsGoneIsFollowedByAnother) {
  ErrorFolds folds;
  std::int64_t row = 1;
  folds.add(error("broken"), 0, 1);
  write(folds, false, row);
  folds.add(error("broken"), kHour / 2, 2);
  auto due = folds.due(true, 1000);
  ASSERT_EQ(due.size(), 1U);
  folds.note_written(*due[0], 7);
  folds.add(error("broken"), kHour + 1, 3);
  due = folds.due(true, 1000);
  ASSERT_EQ(due.size(), 1U) << "its hour began with what it was written for";
  EXPECT_EQ(due[0]->row, 7);
}

TEST(ErrorFolds, WhatIsReleasedWaitsOn) {
  ErrorFolds folds;
  std::int64_t row = 1;
  folds.add(error("one"), 0, 5);
  folds.add(error("two"), 0, 6);
  folds.release();
  EXPECT_EQ(folds.oldest(kNone), kNone);
  folds.add(error("three"), 0, 7);
  EXPECT_EQ(folds.oldest(kNone), 7U);
  EXPECT_EQ(folds.oldest(3), 3U);
  EXPECT_EQ(write(folds, false, row), 3U);
  EXPECT_EQ(folds.oldest(kNone), kNone);
}

TEST(ErrorFolds, AreBounded) {
  ErrorFolds folds;
  std::int64_t row = 1;
  for (std::size_t i = 0; i < ErrorFolds::kMost + 10; ++i) folds.add(error(std::to_string(i)), 0, i + 1);
  EXPECT_EQ(folds.due(true, 2 * ErrorFolds::kMost).size(), ErrorFolds::kMost) << "the newest are not kept";
  while (folds.has_new()) write(folds, false, row);
  folds.add(error("0"), 1, 20000);
  folds.add(error("another"), 1, 20001);
  EXPECT_TRUE(folds.has_new()) << "written ones make room";
  EXPECT_EQ(folds.due(true, 1000).size(), 2U) << "but not what they count";
}

}  // namespace
}  // namespace cache_invalidate::core
