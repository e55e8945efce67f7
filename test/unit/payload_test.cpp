// The text of a message: both shapes, the times in it, and how it is made to fit.
#include "core/payload.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <string>

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kMoment = 1767323045678901;

Message message(Format format, Operation operation, std::string id, std::string fields) {
  Message made;
  made.shape.format = format;
  made.shape.name = "tasks";
  made.operation = operation;
  made.id = std::move(id);
  made.fields = std::move(fields);
  made.origin = {9007199254740993, kMoment};
  return made;
}

TEST(Payload, HasTheRecordShape) {
  EXPECT_EQ(render_payload(message(Format::record, Operation::insert, "1", "\"a\":1,\"b\":null"), false),
            "{\"table\":\"tasks\",\"operation\":\"INSERT\",\"record_id\":\"1\",\"a\":1,\"b\":null,"
            "\"timestamp\":1767323045.678901,\"batch_id\":\"9007199254740993\"}");
  EXPECT_EQ(render_payload(message(Format::record, Operation::remove, "", ""), false),
            "{\"table\":\"tasks\",\"operation\":\"DELETE\",\"timestamp\":1767323045.678901,"
            "\"batch_id\":\"9007199254740993\"}");
}

TEST(Payload, HasTheResourceShape) {
  EXPECT_EQ(render_payload(message(Format::resource, Operation::update, "a\"b:2", "\"a\":1"), false),
            "{\"resource\":\"tasks\",\"id\":\"a\\\"b:2\",\"action\":\"UPDATE\",\"a\":1,"
            "\"timestamp\":\"2026-01-02T03:04:05.678901+00:00\"}");
  EXPECT_EQ(
      render_payload(message(Format::resource, Operation::test, "", ""), false),
      "{\"resource\":\"tasks\",\"action\":\"TEST\",\"timestamp\":\"2026-01-02T03:04:05.678901+00:00\"}");
}

TEST(Payload, EscapesForDatabasesThatAreNotUtf8) {
  Message m = message(Format::resource, Operation::update, "é", "\"a\":\"😀\"");
  m.shape.name = "Aufträge";
  EXPECT_EQ(
      render_payload(m, true),
      "{\"resource\":\"Auftr\\u00e4ge\",\"id\":\"\\u00e9\",\"action\":\"UPDATE\",\"a\":\"\\ud83d\\ude00\","
      "\"timestamp\":\"2026-01-02T03:04:05.678901+00:00\"}");
}

std::string fields_of(std::size_t size) {
  return "\"f\":\"" + std::string(size - 6, 'x') + "\"";
}

TEST(Payload, LosesItsFieldsAndThenItsIdToFit) {
  for (const Format format : {Format::record, Format::resource}) {
    const std::string bare = render_payload(message(format, Operation::update, "1", ""), false);
    const std::size_t room = kPayloadLimit - bare.size() - 1;
    const std::string full = render_payload(message(format, Operation::update, "1", fields_of(room)), false);
    EXPECT_EQ(full.size(), 7999u);
    EXPECT_NE(full.find("\"f\":\"xx"), std::string::npos);
    EXPECT_EQ(render_payload(message(format, Operation::update, "1", fields_of(room + 1)), false), bare);

    const std::string without_id = render_payload(message(format, Operation::update, "", ""), false);
    const std::string longest_id(kPayloadLimit - bare.size() + 1, 'i');
    const std::string with_long_id =
        render_payload(message(format, Operation::update, longest_id, fields_of(20)), false);
    EXPECT_EQ(with_long_id.size(), 7999u);
    EXPECT_NE(with_long_id.find(longest_id), std::string::npos);
    EXPECT_EQ(render_payload(message(format, Operation::update, longest_id + "i", fields_of(20)), false),
              without_id);
  }
}

TEST(Payload, CountsEscapesWhenItMustBeAscii) {
  std::string id;
  for (int i = 0; i < 2000; ++i) id += "é";
  const Message m = message(Format::record, Operation::update, id, "");
  EXPECT_NE(render_payload(m, false).find("é"), std::string::npos);
  EXPECT_EQ(render_payload(m, true),
            render_payload(message(Format::record, Operation::update, "", ""), true));
}

TEST(Payload, FitsWithTheLongestNameThereIs) {
  for (const Format format : {Format::record, Format::resource}) {
    for (const std::string& name : {std::string(255, '\x01'), std::string(255, '\xff')}) {
      Message m = message(format, Operation::update, std::string(9000, 'i'), fields_of(9000));
      m.shape.name = name;
      EXPECT_LE(render_payload(m, false).size(), kPayloadLimit);
      EXPECT_LE(render_payload(m, true).size(), kPayloadLimit);
    }
  }
}

Message reset(Format format, std::string reason) {
  Message made = message(format, Operation::reset, std::move(reason), "");
  made.shape.name.clear();
  return made;
}

TEST(Payload, OfAResetSaysWhy) {
  const std::string record =
      "{\"type\":\"reset\",\"reason\":\"a \\\"crash\\\"\",\"table\":null,\"operation\":\"RESET\","
      "\"timestamp\":1767323045.678901,\"batch_id\":\"9007199254740993\"}";
  EXPECT_EQ(render_payload(reset(Format::record, "a \"crash\""), false), record);
  EXPECT_EQ(render_payload(reset(Format::custom, "a \"crash\""), false), record);
  EXPECT_EQ(render_payload(reset(Format::resource, ""), false),
            "{\"type\":\"reset\",\"reason\":\"\",\"resource\":null,\"action\":\"RESET\","
            "\"timestamp\":\"2026-01-02T03:04:05.678901+00:00\"}");
  Message named = reset(Format::resource, "\xc3\xa9");
  named.shape.name = "tasks";
  EXPECT_EQ(render_payload(named, true),
            "{\"type\":\"reset\",\"reason\":\"\\u00e9\",\"resource\":\"tasks\",\"action\":\"RESET\","
            "\"timestamp\":\"2026-01-02T03:04:05.678901+00:00\"}");
}

TEST(Payload, OfAResetKeepsAsMuchOfTheReasonAsFits) {
  for (const char* character : {"x", "\xc3\xa9", "\xf0\x9f\x98\x80", "\"", "\x01", "\x80"}) {
    const std::string once = character;
    for (const bool ascii_only : {false, true}) {
      for (const std::size_t count : {std::size_t{1000}, std::size_t{8000}, std::size_t{300000}}) {
        std::string reason;
        for (std::size_t i = 0; i < count; ++i) reason += once;
        const std::string text = render_payload(reset(Format::record, reason), ascii_only);
        ASSERT_LE(text.size(), kPayloadLimit);
        EXPECT_EQ(text.back(), '}');
        EXPECT_EQ(text.find("\"table\":null") == std::string::npos, false);
        if (once != "\x80" && count > 1000) {
          EXPECT_GT(text.size(), kPayloadLimit - 50) << once << count;
          EXPECT_EQ(text.find("\xef\xbf\xbd"), std::string::npos) << "no half of a character";
          EXPECT_EQ(text.find("ufffd"), std::string::npos) << "no half of a character";
        }
      }
    }
  }
}

TEST(Payload, WritesTimes) {
  constexpr std::int64_t kSecond = 1000000;
  const struct {
    std::int64_t time;
    const char* iso;
    const char* epoch;
  } cases[] = {
      {0, "1970-01-01T00:00:00.000000+00:00", "0.000000"},
      {1, "1970-01-01T00:00:00.000001+00:00", "0.000001"},
      {kMoment, "2026-01-02T03:04:05.678901+00:00", "1767323045.678901"},
      {-1, "1969-12-31T23:59:59.999999+00:00", "-0.000001"},
      {-kSecond, "1969-12-31T23:59:59.000000+00:00", "-1.000000"},
      {-1500000, "1969-12-31T23:59:58.500000+00:00", "-1.500000"},
      {-86400 * kSecond, "1969-12-31T00:00:00.000000+00:00", "-86400.000000"},
      {951782399 * kSecond, "2000-02-28T23:59:59.000000+00:00", "951782399.000000"},
      {951782400 * kSecond, "2000-02-29T00:00:00.000000+00:00", "951782400.000000"},
      {951868800 * kSecond, "2000-03-01T00:00:00.000000+00:00", "951868800.000000"},
      {1709164800 * kSecond, "2024-02-29T00:00:00.000000+00:00", "1709164800.000000"},
      {1740787199 * kSecond, "2025-02-28T23:59:59.000000+00:00", "1740787199.000000"},
      {1740787200 * kSecond, "2025-03-01T00:00:00.000000+00:00", "1740787200.000000"},
      {1735689599 * kSecond, "2024-12-31T23:59:59.000000+00:00", "1735689599.000000"},
      {4107542399 * kSecond, "2100-02-28T23:59:59.000000+00:00", "4107542399.000000"},
      {4107542400 * kSecond, "2100-03-01T00:00:00.000000+00:00", "4107542400.000000"},
      {-2203891200 * kSecond, "1900-03-01T00:00:00.000000+00:00", "-2203891200.000000"},
      {253402300799 * kSecond + 999999, "9999-12-31T23:59:59.999999+00:00", "253402300799.999999"},
      {253402300800 * kSecond, "10000-01-01T00:00:00.000000+00:00", "253402300800.000000"},
      {-62167219200 * kSecond, "0000-01-01T00:00:00.000000+00:00", "-62167219200.000000"},
      {-62167219201 * kSecond, "-0001-12-31T23:59:59.000000+00:00", "-62167219201.000000"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.iso);
    EXPECT_EQ(iso_timestamp(c.time), c.iso);
    EXPECT_EQ(epoch_timestamp(c.time), c.epoch);
  }
}

TEST(Payload, WritesTheDateOfEachDayOfFourCenturies) {
  const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  std::int64_t day = -25567;  // 1900-01-01
  for (int year = 1900; year < 2300; ++year) {
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    for (int month = 0; month < 12; ++month) {
      for (int in_month = 1; in_month <= lengths[month] + (month == 1 && leap ? 1 : 0); ++in_month, ++day) {
        char expected[48];
        std::snprintf(expected, sizeof expected, "%04d-%02d-%02d", year, month + 1, in_month);
        ASSERT_EQ(iso_timestamp(day * 86400 * 1000000).substr(0, 10), expected);
      }
    }
  }
}

TEST(Payload, SurvivesTimesOfDamagedRows) {
  for (const std::int64_t time :
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_FALSE(iso_timestamp(time).empty());
    EXPECT_FALSE(epoch_timestamp(time).empty());
  }
  EXPECT_EQ(epoch_timestamp(std::numeric_limits<std::int64_t>::min()), "-9223372036854.775808");
}

}  // namespace
}  // namespace cache_invalidate::core
