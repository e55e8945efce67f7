// The reader of JSON that a person wrote: what it takes, what it refuses, and where it says the mistake is.
#include "core/json_parser.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/json.hpp"

namespace cache_invalidate::core {
namespace {

// The same without blanks, strings in our own spelling.
std::string shown(const JsonNode& node) {
  std::string text;
  switch (node.type) {
    case JsonNode::Type::object:
      for (const JsonMember& member : node.members) {
        text += text.empty() ? "" : ",";
        append_json_string(text, member.name);
        text += ":" + shown(member.value);
      }
      return "{" + text + "}";
    case JsonNode::Type::array:
      for (const JsonNode& element : node.elements) text += (text.empty() ? "" : ",") + shown(element);
      return "[" + text + "]";
    case JsonNode::Type::string:
      append_json_string(text, node.text);
      return text;
    case JsonNode::Type::literal:
      break;
  }
  return node.text;
}

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonParser, Accepts) {
  const struct {
    std::string text;
    std::string parsed;
  } cases[] = {
      {"{}", "{}"},
      {" \t\r\n{ } ", "{}"},
      {"[]", "[]"},
      {"{\"a\":1,\"b\":[true,false,null]}", "{\"a\":1,\"b\":[true,false,null]}"},
      {" { \"b\" : 1 ,\n\"a\" : [ 1 , { } ] } ", "{\"b\":1,\"a\":[1,{}]}"},
      {"{\"\":\"\"}", "{\"\":\"\"}"},
      {"{\"a\":{\"a\":{\"a\":1}}}", "{\"a\":{\"a\":{\"a\":1}}}"},
      {"[0,-0,1.5,-1.50e+10,1E2,12345678901234567890.5]", "[0,-0,1.5,-1.50e+10,1E2,12345678901234567890.5]"},
      {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\"", "\"a\\\"\\\\/\\u0008\\u000c\\n\\r\\tb\""},
      {"\"\\u0041\\u00e9\\u00C9\\u4e2D\"", "\"AéÉ中\""},
      {"\"\\ud83d\\ude00\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\"😀\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""},
      {"\"Größe 中 😀 \x7f\"", "\"Größe 中 😀 \\u007f\""},
      {"{\"\\u0061\":1}", "{\"a\":1}"},
      {"true", "true"},
      {nested(kDeepestJson), nested(kDeepestJson)},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const Result<JsonNode> parsed = parse_json("payload", c.text);
    ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
    EXPECT_EQ(shown(parsed.value()), c.parsed);
  }
}

TEST(JsonParser, RefusesAndSaysWhere) {
  const struct {
    std::string text;
    const char* detail;
  } cases[] = {
      {"", "A value is missing at character 1."},
      {"  ", "A value is missing at character 3."},
      {"{", "The name of a member is missing at character 2."},
      {"{a:1}", "The name of a member is missing at character 2."},
      {"{'a':1}", "The name of a member is missing at character 2."},
      {"{1:1}", "The name of a member is missing at character 2."},
      {"{\"a\":1,}", "The name of a member is missing at character 8."},
      {"{,}", "The name of a member is missing at character 2."},
      {"{\"a\" 1}", "A colon is missing at character 6."},
      {"{\"a\"}", "A colon is missing at character 5."},
      {"{\"a\":}", "A value is missing at character 6."},
      {"{\"a\":1 \"b\":2}", "A comma or \"}\" is missing at character 8."},
      {"{\"a\":1", "A comma or \"}\" is missing at character 7."},
      {"{\"a\":1]", "A comma or \"}\" is missing at character 7."},
      {"{\"ö\":1;}", "There is an invalid value at character 6."},
      {"[1,]", "A value is missing at character 4."},
      {"[,1]", "A value is missing at character 2."},
      {"[1 2]", "A comma or \"]\" is missing at character 4."},
      {"[1", "A comma or \"]\" is missing at character 3."},
      {"[", "A value is missing at character 2."},
      {"{} {}", "There is more than one value at character 4."},
      {"{}}", "There is more than one value at character 3."},
      {"{} // done", "There is more than one value at character 4."},
      {"{\"é\":1,\"é\":2}", "Member \"é\" is given again at character 8."},
      {"{\"a\":1,\"\\u0061\":2}", "Member \"a\" is given again at character 8."},
      {"{\"x\":{\"a\":1,\"b\":1,\"a\":1}}", "Member \"a\" is given again at character 19."},
      {"[tru]", "There is an invalid value at character 2."},
      {"[True]", "There is an invalid value at character 2."},
      {"[nullx]", "There is an invalid value at character 2."},
      {"[NaN]", "There is an invalid value at character 2."},
      {"[-Infinity]", "There is an invalid value at character 2."},
      {"[01]", "There is an invalid value at character 2."},
      {"[+1]", "There is an invalid value at character 2."},
      {"[.5]", "There is an invalid value at character 2."},
      {"[5.]", "There is an invalid value at character 2."},
      {"[1e]", "There is an invalid value at character 2."},
      {"[0x10]", "There is an invalid value at character 2."},
      {"\xEF\xBB\xBF{}", "There is an invalid value at character 1."},
      {"{\"a\":\"b", "There is an unterminated string at character 6."},
      {"{\"a", "There is an unterminated string at character 2."},
      {"[\"a\\\"]", "There is an unterminated string at character 2."},
      {"[\"a\nb\"]", "There is a control character that is not escaped at character 4."},
      {std::string("[\"\0\"]", 5), "There is a control character that is not escaped at character 3."},
      {"[\"\\x\"]", "There is an invalid escape at character 3."},
      {"[\"\\U0041\"]", "There is an invalid escape at character 3."},
      {"[\"\\u00g0\"]", "There is an invalid escape at character 3."},
      {"[\"\\u00", "There is an invalid escape at character 3."},
      {"[\"\\", "There is an invalid escape at character 3."},
      {"[\"ab\\u0000\"]", "There is \"\\u0000\", which no text can hold, at character 5."},
      {"[\"\\ud83d\"]", "There is half a surrogate pair at character 3."},
      {"[\"\\ud83d\\u0041\"]", "There is half a surrogate pair at character 3."},
      {"[\"\\ud83dx\"]", "There is half a surrogate pair at character 3."},
      {"[\"\\ud83d\\ud83d\"]", "There is half a surrogate pair at character 3."},
      {"[\"\\ude00\"]", "There is half a surrogate pair at character 3."},
      {nested(kDeepestJson + 1), "There are more than 32 levels at character 33."},
      {std::string(100000, '['), "There are more than 32 levels at character 33."},
      {"{\"a\":" + nested(kDeepestJson) + "}", "There are more than 32 levels at character 37."},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text.substr(0, 80));
    const Result<JsonNode> parsed = parse_json("payload", c.text);
    ASSERT_FALSE(parsed.ok());
    EXPECT_STREQ(parsed.error().sqlstate, "42601");
    EXPECT_EQ(parsed.error().message, "invalid JSON in argument \"payload\"");
    EXPECT_EQ(parsed.error().detail, c.detail);
  }
}

TEST(JsonParser, RefusesEveryTruncation) {
  const std::string whole = "{\"a\":[1,\"\\ud83d\\ude00\",{\"b\":null,\"c\":-1.5e3}],\"d\":true}";
  ASSERT_TRUE(parse_json("payload", whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_json("payload", whole.substr(0, size)).ok()) << "cut at " << size;
  }
}

}  // namespace
}  // namespace cache_invalidate::core
