// Globs: what Redis would match, by a table and by a transcription of its own recursive matcher.
#include "core/glob.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "core/expand.hpp"

namespace cache_invalidate::core {
namespace {

struct Case {
  std::string_view glob, bytes;
  bool matches;
};

constexpr Case kCases[] = {
    {"", "", true}, {"", "a", false}, {"a", "", false}, {"a", "a", true}, {"a", "ab", false}, {"ab", "a", false}, {"A", "a", false},
    // stars
    {"*", "", true}, {"*", "abc", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "a", true}, {"*a", "aab", false},
    {"*a*", "xxaxx", true}, {"a**b", "ab", true}, {"a**b", "axxb", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false},
    {"*ab*ab", "abab", true}, {"*ab*ab", "ab", false}, {"*aab", "aaab", true}, {"item:*:*", "item:1", false}, {"item:*:*", "item::", true},
    // one byte
    {"?", "", false}, {"?", "a", true}, {"?", "ab", false}, {"?", "\xc3\xa9", false}, {"??", "\xc3\xa9", true}, {"a?c", "a*c", true},
    {"?*", "", false}, {"*?", "x", true}, {"*?b", "b", false}, {"*?b", "bb", true},
    // classes
    {"[abc]", "b", true}, {"[abc]", "d", false}, {"[abc]", "", false}, {"[abc]", "ab", false}, {"[a-c]", "b", true}, {"[c-a]", "b", true},
    {"[a-c]", "-", false}, {"[^a-c]", "b", false}, {"[^a-c]", "d", true}, {"[^a]", "", false}, {"[a^]", "^", true}, {"[!a]", "!", true},
    {"[a-]", "-", false}, {"[a-]", "^", true}, {"[-a]", "-", true}, {"[]", "]", false}, {"[]a]", "a]", false}, {"[^]a", "xa", true},
    {"[\\]]", "]", true}, {"[\\a-c]", "-", true}, {"[\\a-c]", "b", false}, {"[a-\\]", "]", true}, {"[a-\\]", "_", true}, {"[\\\\]", "\\", true},
    {"*[0-9]", "item:7", true}, {"*[0-9]", "item:x", false}, {"[[]", "[", true}, {"[*]", "x", false}, {"[*]", "*", true}, {"[?]", "?", true},
    {"[\x80-\xff]", "\xc3", true}, {"[\x80-\xff]", "a", false}, {"[a-\xff]", "z", true}, {"[a-\xff]", "A", true},
    // classes that are not closed
    {"[", "[", false}, {"[a", "a", true}, {"[a", "[a", false}, {"[ab", "b", true}, {"[^", "x", true}, {"[^a", "a", false}, {"[a-", "-", true},
    {"[a-", "b", false}, {"[a-c", "b", true}, {"[\\", "\\", true}, {"x[", "x", false}, {"x[*", "x*", true},
    // escapes
    {"\\*", "*", true}, {"\\*", "a", false}, {"\\?", "?", true}, {"\\[a]", "[a]", true}, {"\\[a]", "a", false}, {"a\\", "a\\", true},
    {"\\\\", "\\", true}, {"\\a", "a", true}, {"\\a", "\\a", false}, {"\\", "\\", true}, {"a]", "a]", true}, {"*\\*", "a*", true}, {"*\\*", "ab", false},
};

TEST(Glob, MatchesAsRedisDoes) {
  for (const Case& c : kCases) EXPECT_EQ(Glob(c.glob).matches(c.bytes), c.matches) << c.glob << " and " << c.bytes;
  EXPECT_TRUE(Glob(std::string_view("a\0*", 3)).matches(std::string_view("a\0b", 3)));
  EXPECT_FALSE(Glob(std::string_view("a\0b", 3)).matches("a"));
}

TEST(Glob, KnowsWhatEverythingThatMatchesBeginsWith) {
  const std::pair<std::string_view, std::string> cases[] = {
      {"", ""}, {"*", ""}, {"item:*", "item:"}, {"item:\\*:[a]*", "item:*:"}, {"item", "item"}, {"?tem", ""}, {"a\\", "a\\"}};
  for (const auto& [glob, prefix] : cases) EXPECT_EQ(Glob(glob).prefix(), prefix) << glob;
  EXPECT_EQ(Glob("a*b**c?*").stars(), 3u);
}

// As Redis has it, but for the skipping of hopeless retries; only for short strings.
bool reference(const char* p, std::size_t n, const char* s, std::size_t m) {
  while (n > 0 && m > 0) {
    if (*p == '*') {
      while (n > 1 && p[1] == '*') ++p, --n;
      if (n == 1) return true;
      for (; m > 0; ++s, --m) {
        if (reference(p + 1, n - 1, s, m)) return true;
      }
      return false;
    }
    if (*p == '[') {
      ++p, --n;
      const bool negated = n > 0 && *p == '^';
      if (negated) ++p, --n;
      bool match = false;
      for (;; ++p, --n) {
        if (n >= 2 && *p == '\\') {
          ++p, --n;
          if (*p == *s) match = true;
        } else if (n > 0 && *p == ']') {
          break;
        } else if (n == 0) {
          --p, ++n;
          break;
        } else if (n >= 3 && p[1] == '-') {
          if (*s >= std::min(p[0], p[2]) && *s <= std::max(p[0], p[2])) match = true;
          p += 2, n -= 2;
        } else if (*p == *s) {
          match = true;
        }
      }
      if (match == negated) return false;
    } else if (*p != '?') {
      if (*p == '\\' && n >= 2) ++p, --n;
      if (*p != *s) return false;
    }
    ++p, --n, ++s, --m;
    if (m == 0) {
      while (n > 0 && *p == '*') ++p, --n;
    }
  }
  return n == 0 && m == 0;
}

TEST(Glob, AgreesWithRedisOnRandomGlobs) {
  std::mt19937 random(20);
  const auto text = [&](std::string_view letters, std::size_t most) {
    std::string out;
    for (std::size_t i = random() % (most + 1); i > 0; --i) out.push_back(letters[random() % letters.size()]);
    return out;
  };
  int matched = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::string glob = text("ab**?[]^-\\ac", 8);
    const std::string bytes = text("aabbc-]^\\[", 5) + "b";
    const bool expected = reference(glob.data(), glob.size(), bytes.data(), bytes.size());
    ASSERT_EQ(Glob(glob).matches(bytes), expected) << glob << " and " << bytes;
    matched += expected;
  }
  EXPECT_GT(matched, 5000);
}

TEST(Glob, TakesWhatIsEscapedLiterally) {
  std::mt19937 random(21);
  for (int i = 0; i < 20000; ++i) {
    std::string text, other, glob;
    for (int n = random() % 6; n > 0; --n) text.push_back("a*?[]\\^-"[random() % 8]);
    for (int n = random() % 6; n > 0; --n) other.push_back("a*?[]\\^-"[random() % 8]);
    append_glob_literal(glob, text);
    ASSERT_TRUE(Glob(glob).matches(text)) << glob;
    ASSERT_EQ(Glob(glob).matches(other), other == text) << glob << " and " << other;
    ASSERT_EQ(Glob(glob).prefix(), text);
  }
}

TEST(Glob, IsNotLedAstrayByManyStars) {
  std::string glob;
  for (int i = 0; i < 2000; ++i) glob += "*a";
  glob += "*b";
  const std::string bytes(20000, 'a');
  // A matcher that tried every star again would never come back.
  EXPECT_FALSE(Glob(glob).matches(bytes));
  EXPECT_TRUE(Glob(glob).matches(bytes + "b"));
}

}  // namespace
}  // namespace cache_invalidate::core
