// Keys owed to a target: folding, the set in flight, and up to where everything is acknowledged.
#include "core/pending_keys.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

std::vector<std::string> in_flight(const PendingKeys& keys) {
  std::vector<std::string> list;
  for (std::uint32_t i = 0; i < keys.in_flight(); ++i) list.emplace_back(keys.key(i));
  return list;
}
using Keys = std::vector<std::string>;

TEST(PendingKeys, OwesNothingAtFirst) {
  PendingKeys keys;
  EXPECT_EQ(keys.collecting(), 0u);
  EXPECT_EQ(keys.in_flight(), 0u);
  EXPECT_EQ(keys.acknowledged(), 0u);
  keys.put_back();
  keys.note_position(7);
  EXPECT_EQ(keys.acknowledged(), 7u) << "a batch without keys for it is done at once";
}

TEST(PendingKeys, FoldsAndKeepsTheOrder) {
  PendingKeys keys;
  for (const char* key : {"b", "a", "b", "c", "a"}) keys.add(key, 1);
  EXPECT_EQ(keys.collecting(), 3u);
  keys.depart();
  EXPECT_EQ(keys.collecting(), 0u);
  EXPECT_EQ(in_flight(keys), (Keys{"b", "a", "c"}));
}

TEST(PendingKeys, AcknowledgesWhatArrivedAndNotWhatCollectedMeanwhile) {
  PendingKeys keys;
  keys.add("a", 1);
  keys.note_position(2);
  EXPECT_EQ(keys.acknowledged(), 0u);
  keys.depart();
  keys.add("a", 3);
  keys.note_position(4);
  EXPECT_EQ(keys.acknowledged(), 0u);
  keys.arrived();
  EXPECT_EQ(keys.acknowledged(), 2u);
  keys.depart();
  EXPECT_EQ(in_flight(keys), Keys{"a"});
  keys.note_position(5);
  EXPECT_EQ(keys.acknowledged(), 2u);
  keys.arrived();
  EXPECT_EQ(keys.acknowledged(), 5u);
}

TEST(PendingKeys, DoesNotTakeBackWhatItAcknowledged) {
  PendingKeys keys;
  keys.note_position(9);
  keys.add("a", 10);
  EXPECT_EQ(keys.acknowledged(), 9u);
  keys.add("b", 11);
  EXPECT_EQ(keys.acknowledged(), 9u);
  keys.depart();
  keys.put_back();
  EXPECT_EQ(keys.acknowledged(), 9u);
}

TEST(PendingKeys, OwesAKeyOfAPositionThatWasNotedAlready) {
  PendingKeys keys;
  keys.note_position(9);
  keys.add("a", 9);
  EXPECT_EQ(keys.acknowledged(), 8u);
}

TEST(PendingKeys, PutsASetBackWholeAndBeforeTheNewerOnes) {
  PendingKeys keys;
  keys.add("a", 1);
  keys.add("b", 1);
  keys.depart();
  keys.add("c", 2);
  keys.add("a", 2);
  keys.put_back();
  EXPECT_EQ(keys.in_flight(), 0u);
  EXPECT_EQ(keys.collecting(), 3u);
  EXPECT_EQ(keys.acknowledged(), 0u);
  keys.depart();
  EXPECT_EQ(in_flight(keys), (Keys{"a", "b", "c"}));
  keys.arrived();
  EXPECT_EQ(keys.acknowledged(), 2u);
}

TEST(PendingKeys, NeverAcknowledgesBackwards) {
  PendingKeys keys;
  std::uint64_t before = 0;
  for (std::uint64_t position = 1; position <= 2000; ++position) {
    if (position % 3 != 0) keys.add("k" + std::to_string(position % 7), position);
    keys.note_position(position);
    if (position % 5 == 0 && keys.in_flight() == 0) keys.depart();
    if (position % 11 == 0 && keys.in_flight() > 0) keys.put_back();
    if (position % 8 == 0 && keys.in_flight() > 0) keys.arrived();
    ASSERT_GE(keys.acknowledged(), before);
    ASSERT_LE(keys.acknowledged(), position);
    before = keys.acknowledged();
  }
  EXPECT_GT(before, 1900u);
}

TEST(PendingKeys, ShowsItsMemory) {
  PendingKeys keys;
  keys.add(std::string(100000, 'x'), 1);
  EXPECT_GE(keys.memory(), 100000u);
  keys.depart();
  EXPECT_GE(keys.memory(), 100000u);
}

}  // namespace
}  // namespace cache_invalidate::core
