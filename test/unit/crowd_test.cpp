// A transaction with too many items: which templates are widened, and what savepoints take back of that.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "batch_text.hpp"
#include "core/change_set.hpp"

namespace cache_invalidate::core {
namespace {

using Lines = std::vector<std::string>;
constexpr std::uint32_t kLimit = 100;
constexpr Source kTasks = kErrorSource + 1;
constexpr Source kLists = kErrorSource + 2;

// What a caller does with each item of a source.
void add(ChangeSet& changes, Source source, const std::string& prefix, int number, int level = 1) {
  if (changes.is_widened(source)) return;
  changes.add_key(0, prefix + ":" + std::to_string(number), level, source);
  if (!changes.is_crowded(source, kLimit)) return;
  changes.add_pattern(0, prefix + ":*", level);
  changes.widen(source, level);
}

bool contains(const Lines& lines, const std::string& line) { return std::find(lines.begin(), lines.end(), line) != lines.end(); }

TEST(Crowd, LeavesATransactionWithinTheLimitExact) {
  ChangeSet changes;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) add(changes, kTasks, "task", i);
  }
  EXPECT_EQ(change_text(changes).size(), 100u);
  EXPECT_FALSE(changes.has_widened());
}

TEST(Crowd, WidensTheTemplateThatGivesMostAndNoOther) {
  ChangeSet changes;
  for (int i = 0; i < 1000; ++i) {
    add(changes, kTasks, "task", i);
    add(changes, kLists, "list", i % 7);
  }
  Lines lines = change_text(changes);
  EXPECT_EQ(lines.size(), 8u) << "what the glob stands for is not written";
  EXPECT_TRUE(contains(lines, "pattern 1 task:*"));
  EXPECT_TRUE(contains(lines, "key 1 list:6"));
}

TEST(Crowd, KeepsWhatOthersGaveBefore) {
  for (const Source widened : {kTasks, kLists}) {
    const Source other = widened == kTasks ? kLists : kTasks;
    ChangeSet changes;
    changes.add_change(0, "7", Operation::update, "\"a\":1", 1, {true, other});
    for (int i = 0; i < 10; ++i) add(changes, other, "other", i);
    for (int i = 0; i < 200; ++i) add(changes, widened, "many", i);
    changes.add_change(0, "7", Operation::update, "\"a\":2", 1, {true, other});
    Lines lines = change_text(changes);
    EXPECT_EQ(lines.size(), 12u);
    EXPECT_TRUE(contains(lines, "message s0 UPDATE 7 \"a\":2"));
    EXPECT_TRUE(contains(lines, "key 1 other:0"));
    EXPECT_TRUE(contains(lines, "key 1 other:9"));
    EXPECT_TRUE(contains(lines, "pattern 1 many:*"));
  }
}

TEST(Crowd, WidensASecondOneWhenItHasTooManyByItself) {
  ChangeSet changes;
  for (int i = 0; i < 1000; ++i) add(changes, kTasks, "task", i);
  for (int i = 0; i < 100; ++i) add(changes, kLists, "list", i);
  EXPECT_EQ(change_text(changes).size(), 101u);
  add(changes, kLists, "list", 100);
  EXPECT_EQ(change_text(changes), (Lines{"pattern 1 task:*", "pattern 1 list:*"}));
}

TEST(Crowd, ForgetsTheTransactionBefore) {
  ChangeSet changes;
  for (Source source = kTasks; source < kTasks + 20; ++source) add(changes, source, std::to_string(source), 1);
  changes.clear();
  for (int i = 0; i < 90; ++i) add(changes, kTasks, "task", i);
  for (int i = 0; i < 20; ++i) add(changes, kLists, "list", i);
  EXPECT_FALSE(changes.is_widened(kLists)) << "its share is that of the templates in this transaction";
}

TEST(Crowd, IsExactAgainWhenTheSavepointThatWidenedRollsBack) {
  ChangeSet changes;
  add(changes, kTasks, "task", 0);
  for (int i = 1; i < 1000; ++i) add(changes, kTasks, "task", i, 2);
  EXPECT_EQ(change_text(changes), Lines{"pattern 1 task:*"});
  changes.rollback(2);
  EXPECT_FALSE(changes.has_widened());
  EXPECT_EQ(change_text(changes), Lines{"key 1 task:0"});
  for (int i = 1; i < 100; ++i) add(changes, kTasks, "task", i);
  EXPECT_EQ(change_text(changes).size(), 100u) << "what was rolled back does not count";
}

TEST(Crowd, StaysWidenedWhenTheSavepointIsReleased) {
  ChangeSet changes;
  for (int i = 0; i < 1000; ++i) add(changes, kTasks, "task", i, 3);
  changes.release(3);
  EXPECT_TRUE(changes.is_widened(kTasks));
  changes.rollback(3);
  EXPECT_TRUE(changes.is_widened(kTasks)) << "a later savepoint of that depth is another";
  changes.rollback(2);
  EXPECT_FALSE(changes.is_widened(kTasks));
  EXPECT_TRUE(changes.empty());
}

TEST(Crowd, CountsWhatWasWrittenOut) {
  ChangeSet changes;
  for (int i = 0; i < 60; ++i) add(changes, kTasks, "task", i);
  changes.forget(0);
  for (int i = 60; i < 120; ++i) add(changes, kTasks, "task", i);
  EXPECT_EQ(change_text(changes), Lines{"pattern 1 task:*"});
  changes.forget(0);
  EXPECT_TRUE(changes.is_widened(kTasks)) << "the glob is written, and as good as before";
}

TEST(Crowd, KeepsAnItemThatIsAlsoWhatStandsForTheSource) {
  ChangeSet changes;
  changes.add_pattern(0, "task:*", 1, kTasks);  // of a row whose id is unknown
  for (int i = 0; i < 1000; ++i) add(changes, kTasks, "task", i);
  EXPECT_EQ(change_text(changes), Lines{"pattern 1 task:*"});
  changes.clear();
  changes.add_change(0, "", Operation::update, "", 1, {false, kTasks});
  for (int i = 0; i < 1000; ++i) changes.add_change(0, std::to_string(i), Operation::update, "", 2, {true, kTasks});
  changes.add_change(0, "", Operation::update, "", 2, {false});
  changes.widen(kTasks, 2);
  EXPECT_EQ(change_text(changes), Lines{"message s0 UPDATE  "});
  changes.rollback(2);
  EXPECT_EQ(change_text(changes), Lines{"message s0 UPDATE  "});
}

TEST(Crowd, BeginsAnewWithTheNextTransaction) {
  ChangeSet changes;
  for (int i = 0; i < 1000; ++i) add(changes, kTasks, "task", i);
  changes.clear();
  for (int i = 0; i < 100; ++i) add(changes, kTasks, "task", i);
  EXPECT_EQ(change_text(changes).size(), 100u);
}

TEST(Crowd, WidensMessagesToo) {
  ChangeSet changes;
  for (int i = 0; i < 1000 && !changes.is_widened(kTasks); ++i) {
    changes.add_change(0, std::to_string(i), Operation::update, "", 1, {true, kTasks});
    if (!changes.is_crowded(kTasks, kLimit)) continue;
    changes.add_change(0, "", Operation::update, "", 1, {false});
    changes.widen(kTasks, 1);
  }
  EXPECT_EQ(change_text(changes), Lines{"message s0 UPDATE  "});
}

TEST(Crowd, KeepsAHundredErrors) {
  ChangeSet changes;
  for (int i = 0; i < 1000; ++i) changes.add_error({"t", "INSERT", std::to_string(i), "c"}, 1);
  EXPECT_EQ(change_text(changes).size(), 100u);
  changes.clear();
  changes.add_error({"t", "INSERT", "m", "c"}, 1);
  EXPECT_EQ(change_text(changes).size(), 1u);
}

TEST(Crowd, DoesNotGrowInALoopOfSavepoints) {
  ChangeSet changes;
  for (int i = 0; i < 100000; ++i) {
    add(changes, kTasks, "task", i, 2);
    changes.rollback(2);
  }
  EXPECT_TRUE(changes.empty());
  EXPECT_LT(changes.memory(), 100000u);
}

TEST(Crowd, TellsOnceWhatEachSourceGave) {
  ChangeSet changes;
  changes.add_key(0, "task:1", 1, kTasks);
  changes.add_key(0, "task:1", 1, kTasks);
  changes.add_key(0, "list:1", 1, kLists);
  changes.add_key(0, "task:2", 2, kTasks);
  changes.add_key(0, "task:3", 3, kTasks);
  changes.rollback(3);
  changes.release(2);
  EXPECT_EQ(changes.take_given(kTasks).items, 2u);
  EXPECT_EQ(changes.take_given(kTasks).items, 0u);
  EXPECT_EQ(changes.take_given(kLists).items, 1u);
  EXPECT_EQ(changes.take_given(kLists + 1000).items, 0u) << "it gave nothing";
}

TEST(Crowd, TellsOfAWidenedSourceWhatStandsForIt) {
  ChangeSet changes;
  for (int i = 0; i < 1000; ++i) add(changes, kTasks, "task", i);
  const ChangeSet::Given first = changes.take_given(kTasks);
  EXPECT_TRUE(first.widened);
  EXPECT_EQ(first.items, 1u);
  const ChangeSet::Given second = changes.take_given(kTasks);
  EXPECT_FALSE(second.widened);
  EXPECT_EQ(second.items, 0u);
}

TEST(Crowd, TellsWhatWasWrittenEarly) {
  ChangeSet changes;
  for (int i = 0; i < 10; ++i) changes.add_key(0, "task:" + std::to_string(i), 1, kTasks);
  changes.forget(0);
  changes.add_key(0, "task:10", 1, kTasks);
  EXPECT_EQ(changes.take_given(kTasks).items, 11u);
  changes.clear();
  EXPECT_EQ(changes.take_given(kTasks).items, 0u);
}

}  // namespace
}  // namespace cache_invalidate::core
