// From a row's values to keys and fields.
#include "core/expand.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

Value of(std::string_view text) {
  Value value;
  value.data = text.data();
  value.size = static_cast<std::uint32_t>(text.size());
  value.is_null = false;
  return value;
}

BoundPart part(std::string literal, int column) {
  BoundPart made;
  made.literal = std::move(literal);
  made.column = column;
  return made;
}

TEST(Expand, PutsValuesBetweenLiterals) {
  const Value values[] = {of("1"), of("two words"), of("")};
  std::string out = "what stood there";
  EXPECT_TRUE(expand({part("task:", 0)}, values, out));
  EXPECT_EQ(out, "task:1");
  EXPECT_TRUE(expand({part("", 1), part(":", 0), part(":", 1), part("!", -1)}, values, out));
  EXPECT_EQ(out, "two words:1:two words!");
  EXPECT_TRUE(expand({part("[", 2), part("]", -1)}, values, out));
  EXPECT_EQ(out, "[]");
  EXPECT_TRUE(expand({part("plain", -1)}, nullptr, out));
  EXPECT_EQ(out, "plain");
  EXPECT_TRUE(expand({}, nullptr, out));
  EXPECT_EQ(out, "");
}

TEST(Expand, TakesAnyBytesAsTheyAre) {
  const std::string bytes("{id}}\0*\r\n\xff", 10);
  const Value values[] = {of(bytes)};
  std::string out;
  EXPECT_TRUE(expand({part("k:", 0)}, values, out));
  EXPECT_EQ(out, "k:" + bytes);
}

TEST(Expand, DoesNotApplyWhenAPlaceholderIsNull) {
  const Value values[] = {of("1"), Value()};
  std::string out;
  EXPECT_FALSE(expand({part("", 0), part(":", 1)}, values, out));
  EXPECT_FALSE(expand({part("", 1), part(":", 0)}, values, out));
  EXPECT_TRUE(expand({part("", 0)}, values, out)) << "a NULL that is not used does not matter";
}

TEST(RenderFields, WritesEachByItsKind) {
  const std::vector<BoundField> fields = {{"\"n\":", 0, JsonKind::number}, {"\"t\":", 1, JsonKind::text},
                                          {"\"b\":", 2, JsonKind::boolean}, {"\"j\":", 3, JsonKind::json},
                                          {"\"null\":", 4, JsonKind::number}, {"\"again\":", 0, JsonKind::text}};
  const Value values[] = {of("7"), of("a\"b"), of("f"), of("[1]"), Value()};
  std::string out = "what stood there";
  render_fields(fields, values, out);
  EXPECT_EQ(out, "\"n\":7,\"t\":\"a\\\"b\",\"b\":false,\"j\":[1],\"null\":null,\"again\":\"7\"");
  render_fields({}, values, out);
  EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace cache_invalidate::core
