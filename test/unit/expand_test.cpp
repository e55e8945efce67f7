// From a row's values to keys and fields.
#include "core/expand.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

Value of(std::string_view text) {
  Value value;
  value.data = text.data();
  value.size = static_cast<std::uint32_t>(text.size());
  value.state = Value::State::known;
  return value;
}

BoundPart part(std::string literal, int input) {
  BoundPart made;
  made.literal = std::move(literal);
  made.input = input;
  return made;
}

TEST(Expand, PutsValuesBetweenLiterals) {
  const Value values[] = {of("1"), of("two words"), of("")};
  std::string out = "what stood there";
  EXPECT_EQ(expand({part("task:", 0)}, values, out), Expansion::exact);
  EXPECT_EQ(out, "task:1");
  EXPECT_EQ(expand({part("", 1), part(":", 0), part(":", 1), part("!", -1)}, values, out), Expansion::exact);
  EXPECT_EQ(out, "two words:1:two words!");
  EXPECT_EQ(expand({part("[", 2), part("]", -1)}, values, out), Expansion::exact);
  EXPECT_EQ(out, "[]");
  EXPECT_EQ(expand({part("plain", -1)}, nullptr, out), Expansion::exact);
  EXPECT_EQ(out, "plain");
  EXPECT_EQ(expand({}, nullptr, out), Expansion::exact);
  EXPECT_EQ(out, "");
}

TEST(Expand, TakesAnyBytesAsTheyAre) {
  const std::string bytes("{id}}\0*\r\n\xff", 10);
  const Value values[] = {of(bytes)};
  std::string out;
  EXPECT_EQ(expand({part("k:", 0)}, values, out), Expansion::exact);
  EXPECT_EQ(out, "k:" + bytes);
}

TEST(Expand, DoesNotApplyWhenAPlaceholderIsNull) {
  const Value values[] = {of("1"), Value()};
  std::string out;
  EXPECT_EQ(expand({part("", 0), part(":", 1)}, values, out), Expansion::none);
  EXPECT_EQ(expand({part("", 1), part(":", 0)}, values, out), Expansion::none);
  EXPECT_EQ(expand({part("", 0)}, values, out), Expansion::exact) << "a NULL that is not used does not matter";
}

Value unknown() {
  Value value;
  value.state = Value::State::unknown;
  return value;
}

TEST(Expand, WidensWhatIsUnknownAndNoMore) {
  const Value values[] = {of("a*b"), unknown(), Value()};
  std::string out;
  EXPECT_EQ(expand({part("task:", 1)}, values, out), Expansion::widened);
  EXPECT_EQ(out, "task:*");
  EXPECT_EQ(expand({part("x?:", 0), part(":", 1), part("", 1), part(":", 1), part("!", -1)}, values, out), Expansion::widened);
  EXPECT_EQ(out, "x\\?:a\\*b:*:*!") << "literals and known values are literal in the glob, and one star is enough";
  EXPECT_EQ(expand({part("", 1), part("", 2)}, values, out), Expansion::none) << "with a NULL there is no key, whatever the rest is";
  EXPECT_EQ(expand_glob({part("x?:", 0), part(":", 1)}, values, out), Expansion::widened);
  EXPECT_EQ(out, "x?:a\\*b:*");
}

TEST(Expand, WidensAKeyThatIsTooLong) {
  const std::string big(kLongestKey - 2, 'x');
  const std::string half(kLongestKey / 2 + 1, 'y');
  const Value values[] = {of(big), of("7"), of(half)};
  std::string out;
  EXPECT_EQ(expand({part("k:", 0)}, values, out), Expansion::exact);
  EXPECT_EQ(out.size(), kLongestKey);
  EXPECT_EQ(expand({part("k:", 0), part(":", 1)}, values, out), Expansion::widened);
  EXPECT_EQ(out, "k:*:7");
  EXPECT_EQ(expand({part("", 2), part(":", 2), part(":", 1)}, values, out), Expansion::widened);
  EXPECT_EQ(out, "*:*:7");
}

TEST(Fields, LeavesOutWhatIsUnknown) {
  const Value values[] = {of("1"), unknown(), Value()};
  std::string out;
  render_fields({{"\"a\":", 0, JsonKind::number}, {"\"b\":", 1, JsonKind::text}, {"\"c\":", 2, JsonKind::text}}, values, out);
  EXPECT_EQ(out, "\"a\":1,\"c\":null");
}

// What Redis matches, of the parts that matter here.
bool matches(std::string_view glob, std::string_view key) {
  if (glob.empty()) return key.empty();
  if (glob[0] == '*') return matches(glob.substr(1), key) || (!key.empty() && matches(glob, key.substr(1)));
  if (key.empty()) return false;
  if (glob[0] == '?') return matches(glob.substr(1), key.substr(1));
  if (glob[0] == '\\' && glob.size() > 1) glob.remove_prefix(1);
  return glob[0] == key[0] && matches(glob.substr(1), key.substr(1));
}

TEST(ExpandGlob, LetsNoValueBecomeAWildcard) {
  const std::string value = "a*b?c[d]e\\f";
  const Value values[] = {of(value), Value()};
  std::string out = "what stood there";
  EXPECT_EQ(expand_glob({part("k:", 0), part(":*", -1)}, values, out), Expansion::exact);
  EXPECT_EQ(out, "k:a\\*b\\?c\\[d\\]e\\\\f:*");
  EXPECT_TRUE(matches(out, "k:" + value + ":anything"));
  EXPECT_FALSE(matches(out, "k:aXb?c[d]e\\f:anything"));
  EXPECT_EQ(expand_glob({part("k:", 1)}, values, out), Expansion::none);
  EXPECT_EQ(expand_glob({part("", -1)}, nullptr, out), Expansion::exact);
  EXPECT_EQ(out, "");
}

Template parsed(const std::string& text) {
  Result<Template> result = Template::parse("key", text);
  if (result.ok()) return result.take();
  ADD_FAILURE() << result.error().message;
  return Template();
}

TEST(Widen, PutsAStarForEachPlaceholder) {
  const struct {
    const char* source;
    bool is_glob;
    const char* widened;
  } cases[] = {
      {"task:{id}", false, "task:*"}, {"plain", false, "plain"},      {"{a}", false, "*"},
      {"{a}{b}:{c}", false, "*:*"},   {"{a}:{b}x", false, "*:*x"},    {"a?{id}[x]", false, "a\\?*\\[x\\]"},
      {"a*{id}", false, "a\\**"},     {"a*{x}{y}b", false, "a\\**b"}, {"a\\{id}", false, "a\\\\*"},
      {"a?:{id}:*", true, "a?:*:*"},  {"a\\*{id}", true, "a\\**"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(widen(parsed(c.source), c.is_glob), c.widened) << c.source;
  }
}

TEST(Widen, MatchesWhateverTheTemplateCouldGive) {
  std::mt19937 random(13);
  const char alphabet[] = "ab*?[]\\:";
  const auto pick = [&random, &alphabet] { return alphabet[random() % (sizeof alphabet - 1)]; };
  for (int round = 0; round < 5000; ++round) {
    std::string source;
    std::string key;
    for (auto parts = 1 + random() % 6; parts > 0; --parts) {
      if (random() % 2 == 0) {
        source += "{x}";
        for (auto size = random() % 3; size > 0; --size) key += pick();
      } else {
        source += pick();
        key += source.back();
      }
    }
    const std::string glob = widen(parsed(source), false);
    ASSERT_TRUE(matches(glob, key)) << glob << " of " << source << " and " << key;
  }
}

TEST(RenderFields, WritesEachByItsKind) {
  const std::vector<BoundField> fields = {
      {"\"n\":", 0, JsonKind::number}, {"\"t\":", 1, JsonKind::text},      {"\"b\":", 2, JsonKind::boolean},
      {"\"j\":", 3, JsonKind::json},   {"\"null\":", 4, JsonKind::number}, {"\"again\":", 0, JsonKind::text}};
  const Value values[] = {of("7"), of("a\"b"), of("f"), of("[1]"), Value()};
  std::string out = "what stood there";
  render_fields(fields, values, out);
  EXPECT_EQ(out, "\"n\":7,\"t\":\"a\\\"b\",\"b\":false,\"j\":[1],\"null\":null,\"again\":\"7\"");
  render_fields({}, values, out);
  EXPECT_EQ(out, "");
}

TEST(IsExactId, IsTrueOfAPrimaryKeyWhoseSeparatorsAreOurs) {
  Rule rule;
  EXPECT_FALSE(is_exact_id(rule, "7")) << "no primary key, or an id of its own";
  rule.key_separators = 0;
  EXPECT_TRUE(is_exact_id(rule, "7"));
  EXPECT_TRUE(is_exact_id(rule, "a:b")) << "one column may hold anything";
  rule.key_separators = 1;
  EXPECT_TRUE(is_exact_id(rule, "1:2"));
  EXPECT_FALSE(is_exact_id(rule, "a:b:c")) << "(a:b, c) and (a, b:c) look alike";
}

}  // namespace
}  // namespace cache_invalidate::core
