// The bytes that wait in the queue of messages: known exactly, whatever was added, sent, folded or trimmed.
#include "core/message_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace cache_invalidate::core {
namespace {

constexpr Operation I = Operation::insert;
constexpr Operation U = Operation::update;
constexpr Operation D = Operation::remove;

// A message of `size` bytes.
void add(MessageQueue& queue, char id, std::size_t size, std::uint64_t position) {
  Shape full;
  full.name = "name";
  full.has_channel = true;
  full.channel = "channel";
  full.payload = "program";
  const std::size_t names = full.name.size() + full.channel.size() + full.payload.size() + 1;
  queue.add(full, U, std::string(1, id), std::string(size - names, 'x'), {position, 0}, position);
}

void pop(MessageQueue& queue) {
  ASSERT_NE(queue.front(), nullptr);
  queue.pop();
}

TEST(MessageQueueBytes, AreThoseOfWhatWaits) {
  MessageQueue queue;
  EXPECT_EQ(queue.bytes(), 0u);
  add(queue, 'a', 1000, 1);
  add(queue, 'b', 100, 2);
  EXPECT_EQ(queue.bytes(), 1100u);
  add(queue, 'a', 1000, 3);  // folds
  EXPECT_EQ(queue.bytes(), 1100u);
  pop(queue);
  EXPECT_EQ(queue.bytes(), 1000u);
  add(queue, 'b', 50, 4);
  queue.sort_by_time();
  EXPECT_EQ(queue.bytes(), 1050u);
  pop(queue);
  pop(queue);
  EXPECT_EQ(queue.bytes(), 0u);
  add(queue, 'a', 1000, 5);
  EXPECT_EQ(queue.bytes(), 1000u);
}

TEST(MessageQueueBytes, StayExactWhileItTrims) {
  MessageQueue queue;
  add(queue, 'a', 1000, 1);
  std::uint64_t position = 2;
  for (; position <= 10000; ++position) {
    add(queue, static_cast<char>('b' + position % 3), 500, position);
    ASSERT_EQ(queue.bytes(), 1000u + 500 * std::min<std::size_t>(position - 1, 3));
  }
  pop(queue);
  for (; position <= 20000; ++position) {
    ASSERT_EQ(queue.bytes(), 1500u);
    pop(queue);
    ASSERT_EQ(queue.bytes(), 1000u);
    add(queue, static_cast<char>('c' + position), 500, position);
  }
}

TEST(MessageQueueBytes, OfPartsGoWithTheNetEffect) {
  MessageQueue queue;
  Shape shape;
  shape.name = "t";
  const auto add_part = [&](std::int64_t time, Operation operation, const std::string& id, std::size_t size) {
    queue.add_part({shape, operation, id, std::string(size, 'x'), {7, time, true}}, 1, true, 1);
  };
  queue.note_part({7, 40, true});
  add_part(10, I, "1", 100);
  add_part(10, I, "2", 200);
  EXPECT_EQ(queue.bytes(), 304u);
  add_part(20, U, "1", 50);
  add_part(20, D, "2", 60);
  EXPECT_EQ(queue.bytes(), 418u);
  queue.fold_early();
  EXPECT_EQ(queue.bytes(), 52u);
  add_part(30, U, "1", 70);
  queue.add(shape, I, "1", std::string(70, 'x'), {8, 50}, 2);
  EXPECT_EQ(queue.bytes(), 196u);
  queue.sort_by_time();  // the parts fold, and what is left of them with the other transaction
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.bytes(), 72u);
  pop(queue);
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
}  // namespace cache_invalidate::core
