// The queue of messages: folding, order, and that it neither loses nor hoards.
#include "core/message_queue.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

using Lines = std::vector<std::string>;

Shape shape(const std::string& name) {
  Shape made;
  made.name = name;
  return made;
}

// An update of record `id` by transaction `position`, which began to commit at `time`.
void add(MessageQueue& queue, const std::string& id, std::uint64_t position, std::int64_t time,
         Operation operation = Operation::update) {
  queue.add(shape("t"), operation, id, "", {position, time}, position);
}

// "id@position" of everything that waits.
Lines drain(MessageQueue& queue) {
  Lines lines;
  while (const MessageQueue::Waiting* first = queue.front()) {
    lines.push_back(first->message.id + "@" + std::to_string(first->position));
    queue.pop();
  }
  return lines;
}

TEST(MessageQueue, IsEmptyAtFirst) {
  MessageQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.front(), nullptr);
  EXPECT_EQ(queue.size(), 0u);
  queue.sort_by_time();
  EXPECT_TRUE(queue.empty());
}

TEST(MessageQueue, KeepsWhatAMessageSaysAndCommitOrder) {
  MessageQueue queue;
  Shape full;
  full.format = Format::resource;
  full.has_channel = true;
  full.channel = "c";
  full.name = "n";
  queue.add(full, Operation::remove, "1", "\"a\":1", {42, 99}, 7);
  const MessageQueue::Waiting* first = queue.front();
  ASSERT_NE(first, nullptr);
  EXPECT_TRUE(first->message.shape == full);
  EXPECT_EQ(first->message.operation, Operation::remove);
  EXPECT_EQ(first->message.id, "1");
  EXPECT_EQ(first->message.fields, "\"a\":1");
  EXPECT_EQ(first->message.origin.xid, 42u);
  EXPECT_EQ(first->message.origin.time, 99);
  EXPECT_EQ(first->position, 7u);
  const MessageQueue::Waiting taken = queue.pop();
  EXPECT_TRUE(taken.message.shape == full);
  EXPECT_EQ(taken.message.fields, "\"a\":1");
  EXPECT_EQ(taken.position, 7u);
  for (int i = 1; i <= 3; ++i) add(queue, std::to_string(i), static_cast<std::uint64_t>(i), i);
  EXPECT_EQ(drain(queue), (Lines{"1@1", "2@2", "3@3"}));
}

// Who saw a commit may hand over before it.
TEST(MessageQueue, PutsWhatCameLateInItsPlace) {
  MessageQueue queue;
  add(queue, "2", 1, 10);
  add(queue, "1", 2, 30);
  add(queue, "3", 3, 15);  // not late: it speaks of another record
  queue.put_in_order();
  EXPECT_EQ(queue.front()->message.id, "2");
  add(queue, "1", 4, 20, Operation::remove);
  queue.put_in_order();
  ASSERT_EQ(queue.size(), 4u);
  EXPECT_EQ(queue.front()->oldest, 1u);
  queue.pop();
  EXPECT_EQ(queue.front()->oldest, 2u);
  EXPECT_EQ(drain(queue), (Lines{"3@3", "1@4", "1@2"}));
}

TEST(MessageQueue, LeavesTheOrderOfDifferentRecordsAlone) {
  MessageQueue queue;
  add(queue, "1", 1, 30);
  add(queue, "2", 2, 20);
  add(queue, "3", 3, 10);
  queue.put_in_order();
  EXPECT_EQ(drain(queue), (Lines{"1@1", "2@2", "3@3"}));
}

TEST(MessageQueue, SeesBehindManyThatAreNewerWhatCameLate) {
  MessageQueue queue;
  add(queue, "late", 1, 5000);
  for (std::uint64_t i = 2; i < 3000; ++i) add(queue, std::to_string(i), i, static_cast<std::int64_t>(5000 + i));
  add(queue, "late", 3000, 4999, Operation::remove);
  queue.put_in_order();
  EXPECT_EQ(queue.front()->position, 3000u);
}

TEST(MessageQueue, BeginsAnewWhenItIsCleared) {
  MessageQueue queue;
  for (const char* id : {"a", "b", "a"}) add(queue, id, 1, 10);
  queue.clear();
  EXPECT_EQ(queue.size(), 0u);  // empty() would tidy up itself
  for (const char* id : {"d", "e", "d"}) add(queue, id, 2, 20);
  EXPECT_EQ(drain(queue), (Lines{"e@2", "d@2"})) << "what was cleared folds with nothing, and hides nothing";
}

TEST(MessageQueue, FoldsEqualMessagesAtThePlaceOfTheNewest) {
  MessageQueue queue;
  add(queue, "a", 1, 10);
  add(queue, "b", 2, 20);
  add(queue, "a", 3, 30);
  add(queue, "a", 4, 40);
  EXPECT_EQ(queue.folded(), 2u);
  EXPECT_EQ(queue.front()->message.id, "b");
  queue.pop();
  EXPECT_EQ(queue.front()->message.origin.time, 40);
  EXPECT_EQ(queue.front()->message.origin.xid, 4u);
  EXPECT_EQ(drain(queue), Lines{"a@4"});
}

TEST(MessageQueue, FoldsOnlyWhatIsEqualInEveryPart) {
  MessageQueue queue;
  Shape base = shape("t");
  Shape channel = base;
  channel.has_channel = true;
  Shape named = channel;
  named.channel = "c";
  Shape resource = base;
  resource.format = Format::resource;
  Shape custom = base;
  custom.format = Format::custom;
  Shape other = custom;
  other.payload = "program";
  Shape published = base;
  published.servers = {1};
  Shape elsewhere = base;
  elsewhere.servers = {2};
  std::uint64_t position = 0;
  for (int round = 0; round < 2; ++round) {
    for (const Shape& s : {base, channel, named, resource, custom, other, published, elsewhere, shape("u")}) {
      queue.add(s, Operation::update, "1", "", {}, ++position);
    }
    queue.add(base, Operation::insert, "1", "", {}, ++position);
    queue.add(base, Operation::update, "2", "", {}, ++position);
    queue.add(base, Operation::update, "1", "\"a\":1", {}, ++position);
    queue.add(base, Operation::update, "1\"a\":1", "", {}, ++position);
    queue.add(shape("t1"), Operation::update, "", "", {}, ++position);
    EXPECT_EQ(queue.folded(), round == 0 ? 0u : 14u);
  }
  EXPECT_EQ(drain(queue).size(), 14u);
}

TEST(MessageQueue, SendsAgainWhatWasSentBefore) {
  MessageQueue queue;
  add(queue, "a", 1, 1);
  add(queue, "b", 2, 2);
  queue.front();
  queue.pop();  // a is gone, b waits
  add(queue, "a", 3, 3);
  add(queue, "a", 4, 4);
  EXPECT_EQ(queue.folded(), 1u);
  EXPECT_EQ(drain(queue), (Lines{"b@2", "a@4"}));
  add(queue, "a", 5, 5);
  EXPECT_EQ(drain(queue), Lines{"a@5"});
}

TEST(MessageQueue, CountsWhatWaits) {
  MessageQueue queue;
  add(queue, "a", 1, 1);
  add(queue, "b", 2, 2);
  EXPECT_EQ(queue.size(), 2u);
  queue.front();
  queue.pop();
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_FALSE(queue.empty());
  queue.pop();
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_TRUE(queue.empty());
}

TEST(MessageQueue, SortsByTheTimeOfCommit) {
  MessageQueue queue;
  add(queue, "sent", 1, 99);
  queue.front();
  add(queue, "c", 2, 30);
  add(queue, "b", 3, 20);
  add(queue, "x", 4, 20);
  add(queue, "a", 5, 10);
  queue.pop();
  queue.sort_by_time();
  add(queue, "b", 6, 40);
  EXPECT_EQ(drain(queue), (Lines{"a@5", "x@4", "c@2", "b@6"}));
}

// The rows of a scan come in any order. What a row was last must be said last.
TEST(MessageQueue, KeepsTheNewestByTimeWhenAScanMeetsItFirst) {
  MessageQueue queue;
  add(queue, "1", 1, 30, Operation::insert);
  add(queue, "1", 2, 20, Operation::remove);
  add(queue, "1", 3, 10, Operation::insert);
  queue.sort_by_time();
  ASSERT_NE(queue.front(), nullptr);
  EXPECT_EQ(queue.front()->message.operation, Operation::remove);
  queue.pop();
  ASSERT_NE(queue.front(), nullptr);
  EXPECT_EQ(queue.front()->message.operation, Operation::insert);
  EXPECT_EQ(queue.front()->message.origin.time, 30);
  EXPECT_EQ(queue.front()->message.origin.xid, 1u);
}

TEST(MessageQueue, KnowsTheOldestUnsentPositionAfterSorting) {
  MessageQueue queue;
  add(queue, "late", 5, 50);
  add(queue, "early", 6, 10);
  add(queue, "middle", 7, 30);
  queue.sort_by_time();
  add(queue, "new", 8, 60);
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> expected = {{6, 5}, {7, 5}, {5, 5}, {8, 8}};
  for (const auto& [position, oldest] : expected) {
    ASSERT_NE(queue.front(), nullptr);
    EXPECT_EQ(queue.front()->position, position);
    EXPECT_EQ(queue.front()->oldest, oldest);
    queue.pop();
  }
  EXPECT_TRUE(queue.empty());
}

// A message in the part that transaction `xid` wrote at `time`.
void add_part(MessageQueue& queue, std::uint64_t xid, std::int64_t time, Operation operation, const std::string& id,
              std::uint64_t position, bool exact = true, std::uint32_t shape_number = 0) {
  const BatchHeader header{xid, time, true};
  queue.note_part(header);
  queue.add_part({shape("t"), operation, id, "\"at\":" + std::to_string(time), header}, shape_number, exact, position);
}

// "OPERATION id fields time position/oldest" of everything that waits.
Lines drain_all(MessageQueue& queue) {
  Lines lines;
  for (; const MessageQueue::Waiting* first = queue.front(); queue.pop()) {
    const Message& message = first->message;
    lines.push_back(std::string(operation_name(message.operation)) + " " + message.id + " " + message.fields + " " +
                    std::to_string(message.origin.time) + " " + std::to_string(first->position) + "/" +
                    std::to_string(first->oldest));
  }
  return lines;
}

constexpr Operation I = Operation::insert;
constexpr Operation U = Operation::update;
constexpr Operation D = Operation::remove;

TEST(MessageQueue, FoldsTheMessagesOfPartsToTheirNetEffect) {
  MessageQueue queue;
  add_part(queue, 7, 10, I, "new", 1);
  add_part(queue, 7, 10, I, "short-lived", 1);
  add_part(queue, 7, 10, U, "gone", 1);
  add_part(queue, 7, 10, D, "replaced", 1);
  add_part(queue, 7, 10, U, "once", 1);
  add(queue, "between", 2, 15);
  add_part(queue, 7, 30, D, "short-lived", 4);
  add_part(queue, 7, 30, D, "gone", 4);
  add_part(queue, 7, 30, U, "replaced", 4);
  add_part(queue, 7, 20, U, "new", 3);  // the rows of a scan come in any order
  add_part(queue, 7, 20, I, "replaced", 3);
  queue.note_part({7, 40, true});       // nothing was left to say
  queue.note_part({7, 35, true});
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"UPDATE between  15 2/1", "UPDATE once \"at\":10 40 1/1",
                                     "INSERT new \"at\":20 40 3/1", "DELETE gone \"at\":30 40 4/1",
                                     "UPDATE replaced \"at\":30 40 4/1"}));
  EXPECT_EQ(queue.folded(), 6u);
}

TEST(MessageQueue, FoldsInexactIdsAndNoneToWhatIsSafeToSay) {
  MessageQueue queue;
  const std::int64_t times[] = {10, 20, 30};
  for (const std::int64_t time : times) {
    add_part(queue, 7, time, I, "came", 1, false);
    add_part(queue, 7, time, time == 30 ? D : I, "unlike", 1, false);
    add_part(queue, 7, time, U, "", 1, time == 20);
  }
  add_part(queue, 8, 10, U, "", 1);
  add_part(queue, 8, 20, Operation::truncate, "", 1);
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"TRUNCATE  \"at\":20 20 1/1", "INSERT came \"at\":30 30 1/1",
                                     "UPDATE unlike \"at\":30 30 1/1", "UPDATE  \"at\":30 30 1/1"}));
}

TEST(MessageQueue, FoldsPartsOfOneTransactionAndTableOnly) {
  MessageQueue queue;
  add_part(queue, 7, 10, I, "1", 1, true, 4);
  add_part(queue, 7, 20, D, "1", 2, true, 5);  // another table, whose messages look the same
  add_part(queue, 8, 30, I, "1", 3, true, 5);
  add_part(queue, 9, 40, D, "1", 4, true, 5);
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"INSERT 1 \"at\":10 20 1/1", "DELETE 1 \"at\":20 20 2/2",
                                     "INSERT 1 \"at\":30 30 3/3", "DELETE 1 \"at\":40 40 4/4"}));
}

// An equal message of another transaction, read meanwhile, would take the first of two away from its transaction.
TEST(MessageQueue, FoldsPartsWithOthersWhenAllHaveCome) {
  MessageQueue queue;
  const auto add_other = [&queue](const std::string& id, std::uint64_t position, std::int64_t time) {
    queue.add(shape("t"), I, id, "\"at\":10", {position, time}, position);
  };
  add_part(queue, 7, 10, I, "1", 1);
  add_part(queue, 7, 10, I, "2", 1);
  add_other("1", 2, 50);
  add_other("2", 3, 60);
  add_part(queue, 7, 20, D, "1", 4);
  EXPECT_EQ(queue.folded(), 0u);
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"INSERT 1 \"at\":10 50 2/2", "INSERT 2 \"at\":10 60 3/3"}));
}

TEST(MessageQueue, MakesRoomByFoldingEarly) {
  MessageQueue queue;
  std::uint64_t position = 0;
  for (std::int64_t round = 0; round < 10; ++round) {
    for (int i = 0; i < 100; ++i) add_part(queue, 7, 2 * round, I, std::to_string(i), ++position);
    for (int i = 0; i < 99; ++i) add_part(queue, 7, 2 * round + 1, D, std::to_string(i), ++position);
    add_part(queue, 7, 2 * round + 1, U, "99", ++position);
    queue.fold_early();
    ASSERT_EQ(queue.size(), 1u);
  }
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"INSERT 99 \"at\":19 19 2000/100"}));
}

TEST(MessageQueue, FoldsEarlyOnlyWhenMuchIsNew) {
  MessageQueue queue;
  for (std::uint64_t i = 1; i <= 100; ++i) add(queue, std::to_string(i), i, 0);
  add_part(queue, 7, 10, I, "part", 101);
  add_part(queue, 7, 20, D, "part", 102);
  queue.fold_early();
  EXPECT_EQ(queue.size(), 102u);
  queue.sort_by_time();
  EXPECT_EQ(queue.size(), 100u);
}

// Too many wait, and some must go before all parts were read.
TEST(MessageQueue, SaysWhatFollowsWhenPartsWereTakenEarly) {
  MessageQueue queue;
  for (const char* id : {"a", "b", "c"}) add_part(queue, 7, 10, I, id, 1);
  add_part(queue, 7, 20, U, "a", 2);
  add_part(queue, 7, 20, U, "b", 2);
  queue.fold_early();
  ASSERT_EQ(queue.size(), 3u);
  EXPECT_EQ(queue.front()->message.id, "c");
  queue.pop();
  EXPECT_EQ(queue.front()->message.id, "a");
  EXPECT_EQ(queue.front()->message.operation, I);
  queue.pop();
  for (const char* id : {"a", "b", "c"}) add_part(queue, 7, 30, id[0] == 'c' ? U : D, id, 3);
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"DELETE a \"at\":30 30 3/3", "UPDATE c \"at\":30 30 3/3"}));
}

TEST(MessageQueue, KeepsPartsApartWhileItTrims) {
  MessageQueue queue;
  add_part(queue, 7, 10, I, "part", 1);
  for (std::uint64_t i = 2; i <= 10000; ++i) add(queue, "same", i, 20);
  add_part(queue, 7, 10, I, "part", 1);  // a scan that began anew reads it again
  add_part(queue, 7, 30, U, "part", 10001);
  queue.sort_by_time();
  EXPECT_EQ(drain_all(queue), (Lines{"UPDATE same  20 10000/1", "INSERT part \"at\":30 30 10001/1"}));
}

TEST(MessageQueue, DropsWhatIsSentWhileItNeverRunsDry) {
  MessageQueue queue;
  std::uint64_t added = 0;
  std::uint64_t sent = 0;
  for (int i = 0; i < 10; ++i) add(queue, std::to_string(added), added + 1, 0), ++added;
  for (int round = 0; round < 20000; ++round) {
    add(queue, std::to_string(added), added + 1, 0);
    ++added;
    const MessageQueue::Waiting* first = queue.front();
    ASSERT_EQ(first->message.id, std::to_string(sent));
    ASSERT_EQ(first->position, sent + 1);
    queue.pop();
    ++sent;
    ASSERT_EQ(queue.size(), 10u);
  }
}

TEST(MessageQueue, DropsWhatFoldedWhileItsHeadIsBlocked) {
  MessageQueue queue;
  add(queue, "blocked", 1, 1);
  for (std::uint64_t i = 2; i <= 100000; ++i) {
    add(queue, "same" + std::to_string(i % 3), i, static_cast<std::int64_t>(i));
    ASSERT_LE(queue.size(), 4000u);
  }
  EXPECT_EQ(queue.folded(), 99999u - 3);
  EXPECT_EQ(drain(queue), (Lines{"blocked@1", "same2@99998", "same0@99999", "same1@100000"}));
}

}  // namespace
}  // namespace cache_invalidate::core
