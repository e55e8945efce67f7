// Keys that are deleted once more after a delay: when, in which order, and what a lost connection changes; and the
// smallest of the positions that are open.
#include "core/second_deletes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "core/open_positions.hpp"

namespace cache_invalidate::core {
namespace {

using Keys = std::vector<std::string>;

void add(SecondDeletes& second, std::uint64_t settled, std::int64_t due, const Keys& keys, std::size_t most = 1000,
         std::int64_t slack = 0) {
  second.begin(settled, due, slack);
  for (const std::string& key : keys) second.add(key);
  second.end(most);
}

Keys in_flight(const SecondDeletes& second) {
  Keys keys;
  for (std::uint32_t i = 0; i < second.in_flight(); ++i) keys.emplace_back(second.key(i));
  return keys;
}

TEST(SecondDeletes, WaitUntilTheyAreDue) {
  SecondDeletes second;
  EXPECT_EQ(second.due(), SecondDeletes::kNever);
  add(second, 0, 100, {"a", "b"});
  add(second, 5, 150, {"c"});
  EXPECT_EQ(second.due(), 100);
  second.depart(99);
  EXPECT_EQ(second.in_flight(), 0u);
  second.depart(100);
  EXPECT_EQ(in_flight(second), (Keys{"a", "b"}));
  EXPECT_EQ(second.due(), SecondDeletes::kNever) << "one set at a time";
  second.arrived();
  EXPECT_EQ(second.due(), 150);
  second.depart(200);
  EXPECT_EQ(in_flight(second), Keys{"c"});
  second.arrived();
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(second.size(), 0u);
}

TEST(SecondDeletes, SettleWhatTheyStandFor) {
  SecondDeletes second;
  EXPECT_EQ(second.settled(7), 7u);
  add(second, 3, 100, {"a"});
  add(second, 7, 150, {"b"});
  EXPECT_EQ(second.settled(9), 3u);
  EXPECT_EQ(second.settled(2), 2u) << "what was put back is not acknowledged";
  second.depart(100);
  EXPECT_EQ(second.settled(9), 3u);
  second.arrived();
  EXPECT_EQ(second.settled(9), 7u);
  second.depart(150);
  second.arrived();
  EXPECT_EQ(second.settled(9), 9u);
}

TEST(SecondDeletes, GoAgainWhenTheConnectionWasLost) {
  SecondDeletes second;
  add(second, 0, 100, {"a", "b"});
  second.depart(100);
  second.put_back();
  EXPECT_EQ(second.due(), 100);
  EXPECT_EQ(second.in_flight(), 0u);
  second.depart(120);
  EXPECT_EQ(in_flight(second), (Keys{"a", "b"}));
}

TEST(SecondDeletes, LeaveEmptySetsOut) {
  SecondDeletes second;
  add(second, 4, 100, {});
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(second.settled(9), 9u);
}

TEST(SecondDeletes, FoldIntoTheLaterWhenThereAreTooMany) {
  SecondDeletes second;
  add(second, 1, 100, {"a", "b"}, 3);
  add(second, 2, 150, {"b", "c", "d"}, 3);
  EXPECT_EQ(second.size(), 4u);
  EXPECT_EQ(second.due(), 150) << "later is right, earlier is not";
  EXPECT_EQ(second.settled(9), 1u);
  second.depart(150);
  add(second, 3, 200, {"a"}, 3);
  EXPECT_EQ(in_flight(second), (Keys{"a", "b", "c", "d"})) << "what is on its way stays as it is";
  second.arrived();
  EXPECT_EQ(second.settled(9), 3u);
  EXPECT_EQ(second.size(), 1u);
}

TEST(SecondDeletes, JoinASetThatIsNotPutOffTooFar) {
  SecondDeletes second;
  add(second, 1, 100, {"a"}, 1000, 10);
  add(second, 2, 107, {"b", "a"}, 1000, 10);
  add(second, 3, 110, {"c"}, 1000, 10);
  add(second, 4, 111, {"d"}, 1000, 10);
  EXPECT_EQ(second.due(), 110);
  EXPECT_EQ(second.settled(9), 1u);
  second.depart(110);
  EXPECT_EQ(in_flight(second), (Keys{"a", "b", "c"}));
  second.arrived();
  second.depart(111);
  add(second, 5, 112, {"e"}, 1000, 10);
  EXPECT_EQ(in_flight(second), Keys{"d"}) << "what is on its way stays as it is";
  second.arrived();
  EXPECT_EQ(second.settled(9), 5u);
}

TEST(OpenPositions, KnowTheirSmallest) {
  OpenPositions open;
  EXPECT_EQ(open.smallest(), OpenPositions::kNone);
  std::deque<std::uint64_t> model;
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    if (model.empty() || random() % 2 == 0) {
      model.push_back(random() % 10);
      open.push(model.back());
    } else {
      model.pop_front();
      open.pop();
    }
    const std::uint64_t smallest = model.empty() ? OpenPositions::kNone : *std::min_element(model.begin(), model.end());
    ASSERT_EQ(open.smallest(), smallest) << i;
    ASSERT_EQ(open.size(), model.size());
  }
  open.clear();
  EXPECT_EQ(open.smallest(), OpenPositions::kNone);
}

}  // namespace
}  // namespace cache_invalidate::core
