// JSON output: valid whatever the bytes were.
#include "core/json.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cache_invalidate::core {
namespace {

std::string as_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}
std::string value(std::string_view text, JsonKind kind) {
  std::string out = ">";
  append_json_value(out, text, kind);
  return out.substr(1);
}

TEST(Json, EscapesWhatJsonAndAHumanMayNotSee) {
  EXPECT_EQ(as_string(""), "\"\"");
  EXPECT_EQ(as_string("plain / text"), "\"plain / text\"");
  EXPECT_EQ(as_string("\"\\"), "\"\\\"\\\\\"");
  EXPECT_EQ(as_string("\n\r\t"), "\"\\n\\r\\t\"");
  EXPECT_EQ(as_string(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\\u007f\"");
}

TEST(Json, KeepsUtf8OfEachLength) {
  for (const char* text :
       {"é", "߿", "ࠀ", "中", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "😀", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(as_string(text), '"' + std::string(text) + '"');
  }
}

TEST(Json, ReplacesEachByteThatIsNotUtf8) {
  const std::string r = "\xEF\xBF\xBD";
  const struct {
    const char* name;
    std::string text;
    std::string shown;
  } cases[] = {
      {"a lone continuation byte", "a\x80z", "a" + r + "z"},
      {"Latin-1", "caf\xE9", "caf" + r},
      {"cut short, two bytes", "\xC3", r},
      {"cut short, three bytes", "\xE4\xB8", r + r},
      {"cut short, four bytes", "\xF0\x9F\x98", r + r + r},
      {"overlong slash", "\xC0\xAF", r + r},
      {"overlong slash, three bytes", "\xE0\x80\xAF", r + r + r},
      {"overlong slash, four bytes", "\xF0\x80\x80\xAF", r + r + r + r},
      {"the first surrogate", "\xED\xA0\x80", r + r + r},
      {"the last surrogate", "\xED\xBF\xBF", r + r + r},
      {"a surrogate pair", "\xED\xA0\xBD\xED\xB8\x80", r + r + r + r + r + r},
      {"beyond the last character", "\xF4\x90\x80\x80", r + r + r + r},
      {"five bytes", "\xF8\x88\x80\x80\x80", r + r + r + r + r},
      {"FE and FF", "\xFE\xFF", r + r},
      {"broken off by a quote", "\xE4\xB8\"", r + r + "\\\""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(as_string(c.text), '"' + c.shown + '"');
  }
}

TEST(Json, NeverLetsRandomBytesOutOfTheirString) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 12, '\0');
    for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? random() % 128 : random() % 256);
    const std::string json = as_string(text);
    const std::string ascii = json_to_ascii(json);
    ASSERT_GE(json.size(), 2u);
    for (const std::string& s : {json, ascii}) {
      for (std::size_t i = 1; i + 1 < s.size(); ++i) {
        const auto c = static_cast<unsigned char>(s[i]);
        ASSERT_GE(c, 0x20);
        ASSERT_NE(c, '"');
        if (c == '\\') ++i;
      }
      ASSERT_EQ(s.back(), '"');
    }
    for (const char c : ascii) ASSERT_LT(static_cast<unsigned char>(c), 0x80);
    // What has been replaced once is valid and stays.
    std::string again;
    append_json_string(again, std::string_view(json).substr(1, json.size() - 2));
    ASSERT_EQ(again.find("\\ufffd"), std::string::npos);
  }
}

TEST(Json, KnowsNumbers) {
  for (const char* number : {"0", "-0", "7", "-12", "1234567890123456789012345678901234567890", "0.5", "-0.0",
                             "10.25", "1e5", "1E5", "1e+5", "1e-5", "1.5e300", "0e0", "9007199254740993"}) {
    EXPECT_TRUE(is_json_number(number)) << number;
    EXPECT_EQ(value(number, JsonKind::number), number);
  }
}

TEST(Json, QuotesWhatIsNoJsonNumber) {
  for (const char* text :
       {"",     "-",  "+1", "00",  "01",  "-01",      "007",       ".5",  "5.",    "1.e5", "1e", "1e+",
        "0x10", "1 ", " 1", "1,5", "NaN", "Infinity", "-Infinity", "nan", "1.2.3", "--1",  "1-", "1e5.5"}) {
    EXPECT_FALSE(is_json_number(text)) << text;
    EXPECT_EQ(value(text, JsonKind::number), '"' + std::string(text) + '"');
  }
}

TEST(Json, WritesValuesAsTheirKindSays) {
  EXPECT_EQ(value("12", JsonKind::text), "\"12\"");
  EXPECT_EQ(value("t", JsonKind::text), "\"t\"");
  EXPECT_EQ(value("t", JsonKind::boolean), "true");
  EXPECT_EQ(value("f", JsonKind::boolean), "false");
  EXPECT_EQ(value("{\"a\": [1, null]}", JsonKind::json), "{\"a\": [1, null]}");
}

TEST(Json, TurnsCharactersBeyondAsciiIntoEscapes) {
  EXPECT_EQ(json_to_ascii(""), "");
  EXPECT_EQ(json_to_ascii("{\"a\":\"b\\n\"}"), "{\"a\":\"b\\n\"}");
  EXPECT_EQ(json_to_ascii("\"\xC2\x80\""), "\"\\u0080\"");
  EXPECT_EQ(json_to_ascii("\"é中\""), "\"\\u00e9\\u4e2d\"");
  EXPECT_EQ(json_to_ascii("\"\xEF\xBF\xBF\""), "\"\\uffff\"");
  EXPECT_EQ(json_to_ascii("\"\xF0\x90\x80\x80\""), "\"\\ud800\\udc00\"");
  EXPECT_EQ(json_to_ascii("\"😀\""), "\"\\ud83d\\ude00\"");
  EXPECT_EQ(json_to_ascii("\"\xF4\x8F\xBF\xBF\""), "\"\\udbff\\udfff\"");
  EXPECT_EQ(json_to_ascii("\"\xFF\""), "\"\\ufffd\"");
}

}  // namespace
}  // namespace cache_invalidate::core
