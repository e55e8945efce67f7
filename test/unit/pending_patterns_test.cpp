// Patterns owed to a target: folding, few at a time, and up to where everything is acknowledged.
#include "core/pending_patterns.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

using Globs = std::vector<std::string>;

Globs collected(const PendingPatterns& patterns) {
  Globs list;
  patterns.for_each_collected([&](const std::string& glob, std::uint32_t) { list.push_back(glob); });
  return list;
}
Globs in_flight(const PendingPatterns& patterns) {
  Globs list;
  for (std::size_t i = 0; i < patterns.in_flight(); ++i) list.push_back(patterns.glob(i));
  return list;
}

TEST(PendingPatterns, DepartTheOldestFirst) {
  PendingPatterns patterns;
  patterns.depart(2);
  EXPECT_EQ(patterns.in_flight(), 0u);
  for (const char* glob : {"c*", "a*", "c*", "b*"}) patterns.add(glob, 0, 1);
  patterns.depart(2);
  EXPECT_EQ(in_flight(patterns), (Globs{"c*", "a*"}));
  EXPECT_EQ(collected(patterns), Globs{"b*"});
  patterns.add("c*", 0, 2);
  EXPECT_EQ(collected(patterns), (Globs{"b*", "c*"})) << "what comes while it is swept waits for the next pass";
}

TEST(PendingPatterns, AcknowledgeUpToTheOldestThatIsOwed) {
  PendingPatterns patterns;
  patterns.note_position(4);
  EXPECT_EQ(patterns.acknowledged(), 4u);
  patterns.add("a*", 0, 5);
  patterns.note_position(6);
  patterns.add("b*", 0, 7);
  patterns.note_position(9);
  EXPECT_EQ(patterns.acknowledged(), 4u);
  patterns.depart(1);
  patterns.arrived();
  EXPECT_EQ(patterns.acknowledged(), 6u) << "b* is owed by 7";
  patterns.add("b*", 0, 10);
  EXPECT_EQ(patterns.acknowledged(), 6u);
  patterns.depart(1);
  patterns.add("b*", 0, 11);
  patterns.arrived();
  EXPECT_EQ(patterns.acknowledged(), 10u);
  patterns.depart(1);
  patterns.arrived();
  EXPECT_EQ(patterns.acknowledged(), 11u);
}

TEST(PendingPatterns, CanStandForWhatIsOwedForLonger) {
  PendingPatterns patterns;
  patterns.note_position(10);
  patterns.add("a*", 0, 11);
  patterns.depart(1);
  patterns.add("b*", 0, 12, 3);
  EXPECT_EQ(patterns.acknowledged(), 3u);
  patterns.arrived();
  EXPECT_EQ(patterns.acknowledged(), 3u);
  patterns.add("c*", 0, 13);
  patterns.add("c*", 0, 14, 2);
  EXPECT_EQ(patterns.acknowledged(), 2u) << "also when it was owed already";
  patterns.depart(2);
  patterns.note_position(14);
  patterns.arrived();
  EXPECT_EQ(patterns.acknowledged(), 14u);
}

TEST(PendingPatterns, ArePutBackBeforeTheNewerOnes) {
  PendingPatterns patterns;
  patterns.add("a*", 0, 1);
  patterns.add("b*", 0, 1);
  patterns.depart(2);
  patterns.add("c*", 0, 2);
  patterns.add("a*", 0, 2);
  patterns.put_back();
  EXPECT_EQ(patterns.in_flight(), 0u);
  EXPECT_EQ(collected(patterns), (Globs{"a*", "b*", "c*"}));
  EXPECT_EQ(patterns.acknowledged(), 0u);
  patterns.depart(3);
  patterns.arrived();
  EXPECT_EQ(patterns.acknowledged(), 2u);
}

TEST(PendingPatterns, TellWhatIsCollectedAndWhenThatChanges) {
  PendingPatterns patterns;
  std::uint64_t seen = patterns.generation();
  const auto has_changed = [&] {
    const bool changed = seen != patterns.generation();
    seen = patterns.generation();
    return changed;
  };
  EXPECT_FALSE(patterns.collects("a*"));
  patterns.add("a*", 0, 1);
  EXPECT_TRUE(has_changed());
  EXPECT_TRUE(patterns.collects("a*"));
  EXPECT_FALSE(patterns.collects("a"));
  patterns.depart(1);
  EXPECT_TRUE(has_changed());
  EXPECT_FALSE(patterns.collects("a*"));
  patterns.put_back();
  EXPECT_TRUE(has_changed());
  EXPECT_TRUE(patterns.collects("a*"));
  patterns.forget_collected();
  EXPECT_TRUE(has_changed());
  EXPECT_FALSE(patterns.collects("a*"));
}

TEST(PendingPatterns, TakeOutWhatIsCoveredOtherwise) {
  PendingPatterns patterns;
  patterns.note_position(2);
  patterns.add("a*", 1, 3);
  patterns.note_position(4);
  patterns.add("b*", 2, 5);
  patterns.note_position(6);
  patterns.add("c*", 1, 7);
  const auto of_family = [](std::uint32_t wanted) { return [wanted](const std::string&, std::uint32_t f) { return f == wanted; }; };
  patterns.take_out(of_family(3));
  EXPECT_EQ(patterns.acknowledged(), 2u);
  patterns.take_out(of_family(1));
  EXPECT_EQ(collected(patterns), Globs{"b*"});
  EXPECT_EQ(patterns.acknowledged(), 4u);
}

}  // namespace
}  // namespace cache_invalidate::core
