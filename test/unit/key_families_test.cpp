// Families of keys that no template gave.
#include "core/key_families.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/glob.hpp"

namespace cache_invalidate::core {
namespace {

TEST(KeyFamilies, EndAtTheLastColon) {
  EXPECT_EQ(family_of_key("task:7"), "task:*");
  EXPECT_EQ(family_of_key("user:7:name"), "user:7:*");
  EXPECT_EQ(wide_family_of_key("user:7:name"), "user:*");
  EXPECT_EQ(family_of_key("task:"), "task:*");
  EXPECT_EQ(family_of_key(":7"), ":*");
}

TEST(KeyFamilies, AreTheKeyItselfWithoutAColon) {
  EXPECT_EQ(family_of_key("dashboard"), "dashboard");
  EXPECT_EQ(family_of_key("a*b[c]?\\"), "a\\*b\\[c\\]\\?\\\\");
  EXPECT_EQ(wide_family_of_key("dashboard"), "*");
}

TEST(KeyFamilies, OfAGlobBeginAsAllThatItMatches) {
  EXPECT_EQ(family_of_glob("task:7:*"), "task:7:*");
  EXPECT_EQ(family_of_glob("task:[0-9]:x"), "task:*");
  EXPECT_EQ(family_of_glob("task*"), "task*");
  EXPECT_EQ(family_of_glob("t\\*:?"), "t\\*:*");
  EXPECT_EQ(wide_family_of_glob("a:b:?"), "a:*");
  EXPECT_EQ(family_of_glob("*"), "*");
  EXPECT_EQ(wide_family_of_glob("task*"), "*");
}

TEST(KeyFamilies, MatchTheirKeysWhateverIsInThem) {
  const std::string alphabet = "a:*?[]\\^-\xc3";
  for (std::size_t i = 0; i < 10000; ++i) {
    std::string key;
    for (std::size_t rest = i; key.size() < 4; rest /= 10) key += alphabet[rest % 10];
    EXPECT_TRUE(Glob(family_of_key(key)).matches(key)) << key;
    EXPECT_TRUE(Glob(wide_family_of_key(key)).matches(key)) << key;
  }
}

TEST(KeyFamilies, OfLongKeysAreShort) {
  const std::string longs(100000, 'x');
  EXPECT_EQ(family_of_key(longs), "*");
  EXPECT_EQ(family_of_key(longs + ":7"), "*");
  EXPECT_EQ(family_of_key("a:" + longs), "a:*");
  EXPECT_EQ(family_of_glob(longs + "*"), "*");
}

TEST(KeyFamilies, AreBoundedInNumber) {
  KeyFamilies families(4);
  std::set<std::string> given;
  for (int i = 0; i < 1000; ++i) given.insert(families.of_key("user:" + std::to_string(i) + ":name"));
  EXPECT_EQ(given, (std::set<std::string>{"user:0:*", "user:1:*", "user:2:*", "user:3:*", "user:*"}));
  EXPECT_EQ(families.of_key("user:2:mail"), "user:2:*") << "a known one is kept";
  EXPECT_EQ(families.of_glob("user:*"), "user:*");
  for (int i = 0; i < 1000; ++i) given.insert(families.of_key(std::to_string(i) + ":name"));
  EXPECT_EQ(given.size(), 5U + 3U + 1U);
  EXPECT_EQ(given.count("*"), 1U);
}

}  // namespace
}  // namespace cache_invalidate::core
