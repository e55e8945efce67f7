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
  queue.pop();
  for (int i = 1; i <= 3; ++i) add(queue, std::to_string(i), static_cast<std::uint64_t>(i), i);
  EXPECT_EQ(drain(queue), (Lines{"1@1", "2@2", "3@3"}));
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
  std::uint64_t position = 0;
  for (int round = 0; round < 2; ++round) {
    for (const Shape& s : {base, channel, named, resource, shape("u")}) {
      queue.add(s, Operation::update, "1", "", {}, ++position);
    }
    queue.add(base, Operation::insert, "1", "", {}, ++position);
    queue.add(base, Operation::update, "2", "", {}, ++position);
    queue.add(base, Operation::update, "1", "\"a\":1", {}, ++position);
    queue.add(base, Operation::update, "1\"a\":1", "", {}, ++position);
    queue.add(shape("t1"), Operation::update, "", "", {}, ++position);
    EXPECT_EQ(queue.folded(), round == 0 ? 0u : 10u);
  }
  EXPECT_EQ(drain(queue).size(), 10u);
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
