// The backlog of a target: what is dropped at its limits, and that something covers it. A random run is compared with
// a list of all that was ever owed.
#include "core/backlog.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/glob.hpp"

namespace cache_invalidate::core {
namespace {

using Names = std::multiset<std::string>;

Names collected_keys(const Backlog& backlog) {
  Names names;
  backlog.keys().for_each_collected([&](std::string_view key, std::uint32_t) { names.emplace(key); });
  return names;
}
Names collected_globs(const Backlog& backlog) {
  Names names;
  backlog.patterns().for_each_collected([&](const std::string& glob, std::uint32_t) { names.insert(glob); });
  return names;
}
// `count` keys of one family, all of this position.
void add_keys(Backlog& backlog, const std::string& family, int count, std::uint64_t position) {
  for (int i = 0; i < count; ++i) backlog.add_key(family + std::to_string(i), family + "*", position);
}
void deliver(Backlog& backlog) {
  if (backlog.keys().in_flight() > 0) backlog.keys().arrived();
  if (backlog.patterns().in_flight() > 0) backlog.patterns().arrived();
  while (backlog.size() > 0) {
    backlog.keys().depart();
    backlog.keys().arrived();
    backlog.patterns().depart(100);
    backlog.patterns().arrived();
  }
}

TEST(Backlog, KeepsKeysAsLongAsItMay) {
  Backlog backlog;
  add_keys(backlog, "a:", 10, 1);
  backlog.keep_within(10);
  EXPECT_EQ(collected_keys(backlog).size(), 10u);
  EXPECT_EQ(backlog.patterns().collecting(), 0u);
  EXPECT_EQ(backlog.widened(), 0u);
}

TEST(Backlog, WidensTheLargestFamilies) {
  Backlog backlog;
  add_keys(backlog, "a:", 5, 1);
  add_keys(backlog, "b:", 10, 1);
  add_keys(backlog, "c:", 2, 1);
  backlog.keep_within(16);
  EXPECT_EQ(collected_globs(backlog), Names{"b:*"});
  EXPECT_EQ(collected_keys(backlog), (Names{"a:0", "a:1", "a:2", "a:3", "a:4", "c:0", "c:1"}));
  backlog.widen_to(2);
  EXPECT_EQ(collected_globs(backlog), (Names{"a:*", "b:*"}));
  EXPECT_EQ(collected_keys(backlog), (Names{"c:0", "c:1"}));
  backlog.widen_to(0);
  EXPECT_EQ(collected_globs(backlog), (Names{"a:*", "b:*", "c:*"}));
  EXPECT_EQ(backlog.keys().collecting(), 0u);
  EXPECT_EQ(backlog.widened(), 3u);
}

TEST(Backlog, OwesNoKeysBesideTheirGlobUntilItsSweepBegins) {
  Backlog backlog;
  add_keys(backlog, "a:", 5, 1);
  backlog.widen_to(0);
  backlog.note_position(1);
  add_keys(backlog, "a:", 5, 2);
  backlog.add_pattern("a:1*", "a:*", 2);
  add_keys(backlog, "b:", 1, 2);
  backlog.note_position(2);
  EXPECT_EQ(backlog.size(), 2u);
  backlog.patterns().depart(100);
  add_keys(backlog, "a:", 1, 3);
  backlog.note_position(3);
  EXPECT_EQ(collected_keys(backlog), (Names{"a:0", "b:0"}));
  backlog.patterns().arrived();
  EXPECT_EQ(backlog.acknowledged(), 1u) << "b:0";
}

TEST(Backlog, AcknowledgesNothingThatAWidenedGlobStandsFor) {
  Backlog backlog;
  backlog.note_position(4);
  add_keys(backlog, "a:", 3, 5);
  backlog.note_position(9);
  backlog.add_pattern("other", "other", 10);
  backlog.note_position(10);
  backlog.patterns().depart(100);
  EXPECT_EQ(backlog.acknowledged(), 4u);
  backlog.note_position(20);
  backlog.widen_to(0);
  EXPECT_EQ(backlog.acknowledged(), 4u);
  backlog.patterns().arrived();
  EXPECT_EQ(backlog.acknowledged(), 4u) << "the sweep that is over began before the glob was owed";
  backlog.patterns().depart(100);
  backlog.patterns().arrived();
  EXPECT_EQ(backlog.acknowledged(), 20u);
}

TEST(Backlog, CountsWhatIsInFlightAndLeavesItAlone) {
  Backlog backlog;
  add_keys(backlog, "a:", 8, 1);
  backlog.keys().depart();
  add_keys(backlog, "b:", 4, 2);
  backlog.keep_within(10);
  EXPECT_EQ(backlog.keys().in_flight(), 8u);
  EXPECT_EQ(collected_globs(backlog), Names{"b:*"});
  backlog.put_back();
  backlog.keep_within(7);
  EXPECT_EQ(collected_globs(backlog), (Names{"a:*", "b:*"}));
  EXPECT_EQ(backlog.keys().collecting(), 0u);
}

TEST(Backlog, CountsALongKeyAsSeveral) {
  Backlog backlog;
  backlog.add_key(std::string(1024 * 1024, 'x'), "x*", 1);
  backlog.keep_within(1000);
  EXPECT_EQ(collected_globs(backlog), Names{"x*"});
}

TEST(Backlog, KeepsAKeyOfTwoFamiliesOnce) {
  Backlog backlog;
  backlog.add_key("k", "k*", 1);
  backlog.add_key("k", "*k", 2);
  EXPECT_EQ(backlog.size(), 1u);
  backlog.widen_to(0);
  EXPECT_EQ(collected_globs(backlog), Names{"k*"});
}

TEST(Backlog, WidensToEverythingWhatHasNoFamily) {
  Backlog backlog;
  backlog.add_key("by hand", "", 1);
  backlog.add_key("too long", std::string(5000, 'x') + "*", 1);
  add_keys(backlog, "a:", 1, 1);
  backlog.widen_to(1);
  EXPECT_EQ(collected_globs(backlog), Names{"*"});
  EXPECT_EQ(collected_keys(backlog), Names{"a:0"});
  add_keys(backlog, "b:", 5, 2);
  EXPECT_EQ(collected_keys(backlog), Names{"a:0"}) << "they are covered";
}

TEST(Backlog, WidensPatternsToTheGlobOfTheirFamily) {
  Backlog backlog;
  for (int i = 0; i < 990; ++i) backlog.add_pattern("s:" + std::to_string(i) + ":*", "s:*:*", 1);
  for (int i = 0; i < 10; ++i) backlog.add_pattern("t:" + std::to_string(i) + ":*", "t:*:*", 1);
  EXPECT_EQ(backlog.patterns().collecting(), 1000u);
  backlog.add_pattern("t:x:*", "t:*:*", 2);
  EXPECT_EQ(backlog.patterns().collecting(), 12u);
  EXPECT_TRUE(backlog.patterns().collects("s:*:*"));
  EXPECT_TRUE(backlog.patterns().collects("t:0:*"));
  backlog.add_pattern(std::string(2 * 1024 * 1024, 'u') + "*", "u*", 3);
  EXPECT_TRUE(backlog.patterns().collects("u*")) << "a long one counts for many";
}

TEST(Backlog, EndsWithEverythingWhenThatIsNotEnough) {
  Backlog backlog;
  add_keys(backlog, "a:", 5, 1);
  for (int i = 0; i < 1001; ++i) backlog.add_pattern("p" + std::to_string(i), "p" + std::to_string(i), 1);
  EXPECT_EQ(collected_globs(backlog), Names{"*"});
  EXPECT_EQ(backlog.keys().collecting(), 0u);
  EXPECT_EQ(backlog.acknowledged(), 0u);
}

TEST(Backlog, KnowsOnlySoManyFamilies) {
  Backlog backlog;
  for (int i = 0; i < 5000; ++i) {
    backlog.add_key("k" + std::to_string(i), "k" + std::to_string(i) + "*", static_cast<std::uint64_t>(i) + 1);
    if (i % 100 == 0) deliver(backlog);
  }
  EXPECT_EQ(backlog.widened(), 0u) << "those of which nothing is owed are forgotten";
  for (int i = 0; i < 5000; ++i) backlog.add_key("k" + std::to_string(i), "k" + std::to_string(i) + "*", 5001);
  EXPECT_EQ(collected_globs(backlog), Names{"*"});
  EXPECT_EQ(backlog.keys().collecting(), 0u);
}

TEST(Backlog, KnowsTheFamilyOfWhatIsOwedWhenOthersAreForgotten) {
  Backlog::Limits limits;
  limits.families = 8;
  Backlog backlog(limits);
  for (int i = 0; i < 5; ++i) add_keys(backlog, "a" + std::to_string(i) + ":", 1, 1);
  backlog.keys().depart();
  backlog.keys().arrived();
  backlog.add_pattern("p:1*", "p:*", 2);
  backlog.patterns().depart(1);
  backlog.add_pattern("q:1*", "q:*", 2);
  add_keys(backlog, "k:", 1, 2);
  backlog.keys().depart();
  add_keys(backlog, "l:", 1, 2);
  add_keys(backlog, "m:", 1, 2);
  std::set<std::string> seen;
  backlog.for_each([&](bool, std::string_view bytes, std::string_view family) { seen.insert(std::string(bytes) + " of " + std::string(family)); });
  EXPECT_EQ(seen, (std::set<std::string>{"k:0 of k:*", "l:0 of l:*", "m:0 of m:*", "p:1* of p:*", "q:1* of q:*"}));
  EXPECT_EQ(backlog.widened(), 0u);
}

// All that was ever owed and is not delivered yet, one by one.
class Model {
 public:
  explicit Model(Backlog& backlog) : backlog_(backlog) {}

  // A key; of a pattern, one that it matches.
  void owe(std::string key, std::uint64_t position) { owed_.push_back({std::move(key), position, ++clock_}); }
  void keys_depart() {
    backlog_.keys().depart();
    keys_departed_ = ++clock_;
  }
  void patterns_depart(std::size_t most) {
    backlog_.patterns().depart(most);
    patterns_departed_ = ++clock_;
  }
  void keys_arrive() {
    const std::set<std::string> keys = keys_in_flight();
    forget([&](const Owed& owed) { return owed.since < keys_departed_ && keys.count(owed.key) != 0; });
    backlog_.keys().arrived();
  }
  void patterns_arrive() {
    forget([&](const Owed& owed) { return owed.since < patterns_departed_ && is_swept(owed.key); });
    backlog_.patterns().arrived();
  }

  void check() {
    const std::set<std::string> sent = keys_in_flight();
    const Names collected = collected_keys(backlog_), globs = collected_globs(backlog_);
    std::uint64_t oldest = PendingKeys::kNothing;
    for (const Owed& owed : owed_) {
      oldest = std::min(oldest, owed.position);
      bool covered = collected.count(owed.key) != 0 || (owed.since < keys_departed_ && sent.count(owed.key) != 0) ||
                     (owed.since < patterns_departed_ && is_swept(owed.key));
      for (const std::string& glob : globs) covered = covered || matches(glob, owed.key);
      ASSERT_TRUE(covered) << owed.key << " of position " << owed.position << " is lost";
    }
    ASSERT_LT(backlog_.acknowledged(), oldest);
    ASSERT_GE(backlog_.acknowledged(), acknowledged_) << "what is acknowledged stays so";
    acknowledged_ = backlog_.acknowledged();
  }
  std::size_t size() const { return owed_.size(); }

 private:
  struct Owed {
    std::string key;
    std::uint64_t position;
    std::uint64_t since;
  };

  std::set<std::string> keys_in_flight() const {
    std::set<std::string> keys;
    backlog_.keys().for_each_in_flight([&](std::string_view key, std::uint32_t) { keys.emplace(key); });
    return keys;
  }
  bool is_swept(const std::string& key) {
    for (std::size_t i = 0; i < backlog_.patterns().in_flight(); ++i) {
      if (matches(backlog_.patterns().glob(i), key)) return true;
    }
    return false;
  }
  bool matches(const std::string& glob, const std::string& key) {
    return known_.try_emplace(glob, glob).first->second.matches(key);
  }
  template <typename Done>
  void forget(Done done) {
    owed_.erase(std::remove_if(owed_.begin(), owed_.end(), done), owed_.end());
  }

  Backlog& backlog_;
  std::vector<Owed> owed_;
  std::map<std::string, Glob> known_;
  std::uint64_t clock_ = 0, keys_departed_ = 0, patterns_departed_ = 0, acknowledged_ = 0;
};

class BacklogModel : public testing::TestWithParam<unsigned> {};

TEST_P(BacklogModel, LosesNothingWhateverHappens) {
  std::mt19937 random(GetParam());
  const auto below = [&](unsigned n) { return random() % n; };
  Backlog::Limits limits;
  limits.patterns = 8 + below(20);
  limits.families = 3 + below(30);
  limits.longest_family = 12;
  Backlog backlog(limits);
  Model model(backlog);
  const std::size_t most_keys = 10 + below(60);
  const unsigned families = 1 + below(40);
  std::uint64_t position = 0;
  for (int step = 0; step < 3000; ++step) {
    switch (below(16)) {
      default: {  // a batch
        ++position;
        for (unsigned i = below(8); i > 0; --i) {
          const std::string family = "f" + std::to_string(below(families)) + ":";
          const std::string glob = below(50) == 0 ? "" : family + "*" + (below(60) == 0 ? std::string(20, '*') : "");
          const std::string bytes = family + std::to_string(below(30));
          if (below(5) == 0) {
            backlog.add_pattern(bytes + "?*", glob, position);
            model.owe(bytes + "x", position);
          } else {
            backlog.add_key(bytes, glob, position);
            model.owe(bytes, position);
          }
          backlog.keep_within(most_keys);
          ASSERT_TRUE(backlog.keys().weight() <= most_keys || backlog.keys().collecting() == 0);
          ASSERT_LE(backlog.patterns().collecting(), limits.patterns);
        }
        backlog.note_position(position);
        break;
      }
      case 0: case 1: case 2:
        if (backlog.keys().in_flight() == 0) model.keys_depart(); else model.keys_arrive();
        break;
      case 3: case 4: case 5:
        if (backlog.patterns().in_flight() == 0) model.patterns_depart(1 + below(8)); else model.patterns_arrive();
        break;
      case 6:
        if (below(3) != 0) break;
        backlog.put_back();
        backlog.keep_within(most_keys);
        break;
      case 7:
        if (below(4) == 0) backlog.widen_to(below(20));
        break;
    }
    ASSERT_NO_FATAL_FAILURE(model.check()) << "step " << step;
  }
  for (int i = 0; backlog.size() > 0 && i < 1000; ++i) {
    if (backlog.keys().in_flight() > 0) model.keys_arrive();
    if (backlog.patterns().in_flight() > 0) model.patterns_arrive();
    model.keys_depart();
    model.patterns_depart(5);
    ASSERT_NO_FATAL_FAILURE(model.check());
  }
  EXPECT_EQ(model.size(), 0u);
  EXPECT_EQ(backlog.acknowledged(), position) << "all of it is acknowledged in the end";
  EXPECT_GT(backlog.widened(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, BacklogModel, testing::Range(1u, 21u));

TEST(Backlog, ShowsAllThatIsOwed) {
  Backlog backlog;
  backlog.add_key("a:1", "a:*", 1);
  backlog.add_pattern("b:1*", "b:*", 1);
  backlog.keys().depart();
  backlog.patterns().depart(1);
  backlog.add_key("c", "", 2);
  backlog.add_pattern("b:2*", "b:*", 2);
  std::set<std::string> seen;
  backlog.for_each([&](bool is_pattern, std::string_view bytes, std::string_view family) {
    seen.insert((is_pattern ? "pattern " : "key ") + std::string(bytes) + " of " + std::string(family));
  });
  backlog.for_each_family_in_flight([](std::string_view family) { EXPECT_EQ(family, "a:*"); });
  EXPECT_EQ(seen, (std::set<std::string>{"key a:1 of a:*", "key c of *", "pattern b:1* of b:*", "pattern b:2* of b:*"}));
}

}  // namespace
}  // namespace cache_invalidate::core
