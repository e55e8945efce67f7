// The change set: folding of keys, net effect of changes, and what savepoints take back.
#include "core/change_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "batch_text.hpp"

namespace cache_invalidate::core {
namespace {

using Lines = std::vector<std::string>;
constexpr auto kInsert = Operation::insert;
constexpr auto kUpdate = Operation::update;
constexpr auto kRemove = Operation::remove;

TEST(ChangeSet, StartsEmpty) {
  const ChangeSet changes;
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(changes.size(), 0u);
  EXPECT_EQ(changes.innermost_start(), 0u);
  EXPECT_EQ(change_text(changes), Lines{});
}

TEST(ChangeSet, FoldsEqualKeysOfOneScopeOnly) {
  ChangeSet changes;
  for (int i = 0; i < 3; ++i) changes.add_key(0, "task:1", 1);
  changes.add_key(1, "task:1", 1);
  changes.add_key(0, "task:2", 1);
  changes.add_key(4, "nobody's", 1);
  EXPECT_EQ(changes.size(), 4u);
  EXPECT_EQ(change_text(changes), (Lines{"key 1 task:1", "key 2 task:1", "key 1 task:2"}));
}

TEST(ChangeSet, KeepsKindsApartThatHoldTheSameBytes) {
  ChangeSet changes;
  changes.add_key(0, "x", 1);
  changes.add_probe("x", 1);
  changes.add_pattern(0, "x", 1);
  changes.add_pattern(0, "x", 1);
  changes.add_change(0, "x", kUpdate, "", 1);
  changes.add_error({"t", "INSERT", "m", "c"}, 1);
  changes.add_error({"t", "INSERT", "m", "c"}, 1);
  EXPECT_EQ(change_text(changes),
            (Lines{"key 1 x", "probe x", "pattern 1 x", "message s0 UPDATE x ", "error t INSERT m c"}));
}

TEST(ChangeSet, HasTheNetEffectOfTheChangesOfARecord) {
  struct Case {
    std::vector<Operation> operations;
    const char* net;  // empty: nothing
  };
  const Case cases[] = {
      {{kInsert}, "INSERT"},
      {{kUpdate}, "UPDATE"},
      {{kRemove}, "DELETE"},
      {{kInsert, kUpdate}, "INSERT"},
      {{kInsert, kUpdate, kUpdate}, "INSERT"},
      {{kInsert, kRemove}, ""},
      {{kInsert, kUpdate, kRemove}, ""},
      {{kInsert, kRemove, kInsert}, "INSERT"},
      {{kInsert, kRemove, kInsert, kRemove}, ""},
      {{kUpdate, kUpdate}, "UPDATE"},
      {{kUpdate, kRemove}, "DELETE"},
      {{kUpdate, kRemove, kInsert}, "UPDATE"},
      {{kRemove, kInsert}, "UPDATE"},
      {{kRemove, kInsert, kUpdate}, "UPDATE"},
      {{kRemove, kInsert, kRemove}, "DELETE"},
      {{Operation::truncate}, "TRUNCATE"},
      {{Operation::truncate, kUpdate}, "UPDATE"},
      {{kUpdate, Operation::truncate}, "TRUNCATE"},
      {{Operation::test}, "TEST"},
      {{Operation::test, Operation::test}, "TEST"},
  };
  for (const Case& c : cases) {
    std::string trace;
    ChangeSet changes;
    for (std::size_t i = 0; i < c.operations.size(); ++i) {
      trace.append(operation_name(c.operations[i])).append(" ");
      changes.add_change(0, "1", c.operations[i], "\"n\":" + std::to_string(i), 1);
    }
    SCOPED_TRACE(trace);
    const std::string fields = " 1 \"n\":" + std::to_string(c.operations.size() - 1);
    EXPECT_EQ(change_text(changes),
              *c.net == '\0' ? Lines{} : Lines{std::string("message s0 ") + c.net + fields});
  }
}

TEST(ChangeSet, KeepsTheFieldsOfTheNewestChangeWhateverTheirLength) {
  ChangeSet changes;
  changes.add_change(0, "1", kInsert, "\"a\":1", 1);
  changes.add_change(0, "2", kInsert, "\"a\":2", 1);
  for (const char* fields :
       {"\"a\":1234567890", "\"a\":1", "", "\"a\":12345", "\"a\":12345678901234567890"}) {
    changes.add_change(0, "1", kUpdate, fields, 1);
    EXPECT_EQ(change_text(changes),
              (Lines{std::string("message s0 INSERT 1 ") + fields, "message s0 INSERT 2 \"a\":2"}));
  }
}

TEST(ChangeSet, TakesARolledBackSavepointBack) {
  ChangeSet changes;
  changes.add_key(0, "before", 1);
  changes.add_change(0, "1", kInsert, "\"a\":1", 1);
  changes.add_key(0, "within", 2);
  changes.add_key(0, "before", 2);
  changes.add_change(0, "1", kRemove, "\"a\":2", 2);
  changes.add_change(0, "2", kUpdate, "", 2);
  changes.rollback(2);
  EXPECT_EQ(change_text(changes), (Lines{"key 1 before", "message s0 INSERT 1 \"a\":1"}));
}

TEST(ChangeSet, KeepsAReleasedSavepoint) {
  ChangeSet changes;
  changes.add_change(0, "1", kInsert, "\"a\":1", 1);
  changes.add_change(0, "1", kUpdate, "\"a\":22", 2);
  changes.add_key(0, "within", 2);
  changes.release(2);
  changes.rollback(2);  // another one, that added nothing
  EXPECT_EQ(change_text(changes), (Lines{"message s0 INSERT 1 \"a\":22", "key 1 within"}));
}

TEST(ChangeSet, TakesAReleasedSavepointBackWithTheOneAroundIt) {
  for (const bool outer_added : {false, true}) {
    SCOPED_TRACE(outer_added);
    ChangeSet changes;
    changes.add_change(0, "1", kInsert, "\"a\":1", 1);
    if (outer_added) changes.add_change(0, "1", kUpdate, "\"a\":2", 2);
    changes.add_change(0, "1", kRemove, "\"a\":3", 3);
    changes.release(3);
    EXPECT_EQ(change_text(changes), Lines{});
    changes.rollback(2);
    EXPECT_EQ(change_text(changes), Lines{"message s0 INSERT 1 \"a\":1"});
  }
}

TEST(ChangeSet, TakesTheSameKeyAgainAfterRollbackTo) {
  ChangeSet changes;
  for (int i = 0; i < 3; ++i) {
    changes.add_key(0, "k", 2);
    changes.add_change(0, "1", kInsert, "\"a\":1", 2);
    EXPECT_EQ(changes.size(), 2u);
    changes.rollback(2);
    EXPECT_TRUE(changes.empty());
  }
  changes.add_key(0, "k", 2);
  changes.release(2);
  EXPECT_EQ(change_text(changes), Lines{"key 1 k"});
}

// What a level made is undone as a whole: an undo of one of its inner levels must not be taken for its own.
TEST(ChangeSet, ForgetsWhoSavedAStateWhenItsLevelEnds) {
  ChangeSet changes;
  changes.add_key(0, "first", 1);
  changes.add_change(0, "1", kInsert, "\"a\":1", 2);
  changes.add_change(0, "1", kUpdate, "\"a\":22", 3);
  changes.release(3);
  changes.release(2);
  const Lines before = {"key 1 first", "message s0 INSERT 1 \"a\":22"};
  EXPECT_EQ(change_text(changes), before);
  changes.add_change(0, "1", kRemove, "\"a\":333", 2);
  changes.rollback(2);
  EXPECT_EQ(change_text(changes), before);
}

TEST(ChangeSet, IgnoresTheEndOfSavepointsThatAddedNothing) {
  ChangeSet changes;
  changes.add_key(0, "k", 2);
  changes.release(5);
  changes.rollback(4);
  changes.release(3);
  EXPECT_EQ(changes.size(), 1u);
  changes.rollback(2);
  EXPECT_TRUE(changes.empty());
}

TEST(ChangeSet, ForgetsWhatTheInnermostLevelWroteOut) {
  ChangeSet changes;
  changes.add_change(0, "1", kInsert, "\"a\":1", 1);
  changes.add_change(0, "1", kUpdate, "\"a\":2", 2);
  changes.add_change(0, "2", kInsert, "\"b\":1", 2);
  changes.add_key(0, "k", 2);
  const std::uint32_t from = changes.innermost_start();
  EXPECT_EQ(change_text(changes, from), (Lines{"message s0 INSERT 2 \"b\":1", "key 1 k"}));
  changes.forget(from);
  EXPECT_EQ(change_text(changes), Lines{"message s0 INSERT 1 \"a\":2"});
  changes.add_change(0, "2", kRemove, "", 2);
  EXPECT_EQ(change_text(changes, changes.innermost_start()), Lines{"message s0 DELETE 2 "});
  changes.rollback(2);
  EXPECT_EQ(change_text(changes), Lines{"message s0 INSERT 1 \"a\":1"});
}

TEST(ChangeSet, ForgetsAllOfATransactionWithoutSavepoints) {
  ChangeSet changes;
  changes.add_key(0, "k", 1);
  changes.forget(changes.innermost_start());
  EXPECT_TRUE(changes.empty());
  changes.add_key(0, "k", 1);
  EXPECT_EQ(change_text(changes), Lines{"key 1 k"});
}

TEST(ChangeSet, NestsAThousandDeep) {
  constexpr int kDepth = 1000;
  ChangeSet changes;
  const auto fill = [&changes](int from) {
    for (int level = from; level <= kDepth; ++level) {
      changes.add_key(0, "k" + std::to_string(level), level);
      changes.add_change(0, "same", kUpdate, "\"level\":" + std::to_string(level), level);
    }
  };
  fill(1);
  for (int level = kDepth; level > 500; --level) changes.release(level);
  changes.rollback(500);
  Lines lines = change_text(changes);
  EXPECT_EQ(lines.size(), 500u);
  EXPECT_EQ(lines[1], "message s0 UPDATE same \"level\":499");
  fill(500);
  for (int level = kDepth; level > 1; --level) changes.release(level);
  lines = change_text(changes);
  EXPECT_EQ(lines.size(), 1001u);
  EXPECT_EQ(lines[1], "message s0 UPDATE same \"level\":1000");
}

struct Loop {
  const char* name;
  int outer;  // the level around the savepoints
  bool roll_back;
};

// A PL/pgSQL loop with an EXCEPTION block around each change of the same counter row.
TEST(ChangeSet, StaysSmallInALoopOfSavepoints) {
  const Loop loops[] = {{"release, level 1", 1, false},
                        {"release, level 2", 2, false},
                        {"roll back, level 1", 1, true},
                        {"roll back, level 3", 3, true}};
  for (const Loop& loop : loops) {
    SCOPED_TRACE(loop.name);
    ChangeSet changes;
    changes.add_change(0, "0", kUpdate, "\"n\":0", 1);
    if (loop.outer > 1) changes.add_key(0, "outer", loop.outer);
    std::size_t most = 0;
    for (int i = 0; i < 100000; ++i) {
      changes.add_key(0, "counter:1", loop.outer + 1);
      changes.add_change(0, "0", kUpdate, "\"n\":" + std::to_string(i), loop.outer + 1);
      changes.add_change(0, "1", kUpdate, "\"n\":" + std::to_string(i), loop.outer + 1);
      loop.roll_back ? changes.rollback(loop.outer + 1) : changes.release(loop.outer + 1);
      most = std::max(most, changes.memory());
    }
    EXPECT_LT(most, 256u * 1024);
    const std::string last = loop.roll_back ? "0" : "99999";
    EXPECT_EQ(change_text(changes).front(), "message s0 UPDATE 0 \"n\":" + last);
  }
}

TEST(ChangeSet, StaysSmallWhenOneRecordGrowsAgainAndAgain) {
  ChangeSet changes;
  std::string fields;
  std::size_t most = 0;
  for (int i = 0; i < 5000; ++i) {
    fields.push_back('x');
    changes.add_change(0, "1", kUpdate, fields, 1);
    most = std::max(most, changes.memory());
  }
  EXPECT_LT(most, 256u * 1024);
  EXPECT_EQ(change_text(changes), Lines{"message s0 UPDATE 1 " + fields});
}

TEST(ChangeSet, StaysSmallWhenALevelSpillsAndHasChangedAnOuterRecord) {
  ChangeSet changes;
  changes.add_change(0, "outer", kInsert, "\"a\":1", 1);
  changes.add_change(0, "outer", kUpdate, "\"a\":2", 2);
  std::size_t most = 0;
  for (int i = 0; i < 100000; ++i) {
    changes.add_change(0, std::to_string(i), kInsert, "\"some\":\"fields of some length\"", 2);
    most = std::max(most, changes.memory());
    if (i % 100 == 99) changes.forget(changes.innermost_start());
  }
  EXPECT_LT(most, 256u * 1024);
  EXPECT_EQ(change_text(changes), Lines{"message s0 INSERT outer \"a\":2"});
  changes.rollback(2);
  EXPECT_EQ(change_text(changes), Lines{"message s0 INSERT outer \"a\":1"});
}

// Squeezing out under an open savepoint moves the place to which its rollback cuts back.
TEST(ChangeSet, CutsBackToTheRightPlaceAfterSqueezingOut) {
  ChangeSet changes;
  std::string fields;
  for (int i = 0; i < 350; ++i) changes.add_change(0, "1", kUpdate, fields += 'x', 1);
  changes.add_change(0, "2", kInsert, "\"b\":2", 2);
  for (int i = 0; i < 8; ++i) changes.add_change(0, "3", kInsert, std::string(5000 + 100 * i, 'y'), 3);
  EXPECT_LT(changes.memory(), 80u * 1024);
  changes.rollback(3);
  EXPECT_LT(changes.memory(), 20u * 1024);
  EXPECT_EQ(change_text(changes), (Lines{"message s0 UPDATE 1 " + fields, "message s0 INSERT 2 \"b\":2"}));
  changes.rollback(2);
  EXPECT_EQ(change_text(changes), Lines{"message s0 UPDATE 1 " + fields});
}

TEST(ChangeSet, IsAsNewAfterClear) {
  ChangeSet changes;
  for (int i = 0; i < 20000; ++i)
    changes.add_change(0, std::to_string(i), kInsert, "\"some\":\"fields\"", 1 + i % 5);
  changes.clear();
  EXPECT_TRUE(changes.empty());
  EXPECT_LT(changes.memory(), 256u * 1024);
  changes.add_change(0, "1", kRemove, "", 1);
  EXPECT_EQ(change_text(changes), Lines{"message s0 DELETE 1 "});
}

// What an outer savepoint added must not be written out by an inner one: it would die with that.
TEST(ChangeSet, KnowsThatALevelThatAddedNothingHasNothingToWrite) {
  ChangeSet changes;
  changes.add_key(0, "outer", 1);
  EXPECT_EQ(changes.start_of(1), 0u);
  EXPECT_EQ(changes.start_of(2), changes.size());
  changes.add_key(0, "inner", 3);
  EXPECT_EQ(changes.start_of(3), 1u);
  EXPECT_EQ(changes.start_of(4), changes.size());
  changes.release(3);
  EXPECT_EQ(changes.start_of(2), 1u);
  EXPECT_EQ(changes.start_of(3), changes.size());
}

TEST(ChangeSet, DropsNothingOfAnIdThatMayNameSeveralRecords) {
  ChangeSet changes;
  changes.add_change(0, "came and went", kInsert, "", 1, {false});
  changes.add_change(0, "came and went", kRemove, "", 1, {false});
  changes.add_change(0, "came", kInsert, "", 1, {false});
  changes.add_change(0, "came", kInsert, "", 1, {false});
  changes.add_change(0, "went", kRemove, "", 1, {false});
  EXPECT_EQ(change_text(changes), (Lines{"message s0 UPDATE came and went ", "message s0 INSERT came ",
                                         "message s0 DELETE went "}));
}

}  // namespace
}  // namespace cache_invalidate::core
