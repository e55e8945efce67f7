// The options of servers and user mappings, and that no refusal repeats a secret.
#include "delivery/target_options.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::delivery {
namespace {

using Options = std::vector<OptionText>;
constexpr const char* kUrl = "redis://127.0.0.1:6380/2";

TEST(ServerOptions, HaveDefaults) {
  const auto parsed = parse_server_options({{"url", kUrl}});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().endpoint.host, "127.0.0.1");
  EXPECT_EQ(parsed.value().endpoint.port, 6380);
  EXPECT_EQ(parsed.value().endpoint.database, 2);
  EXPECT_EQ(parsed.value().key_prefix, "");
  EXPECT_EQ(parsed.value().connect_timeout, 2000);
  EXPECT_EQ(parsed.value().command_timeout, 5000);
  EXPECT_TRUE(parsed.value().enabled);
}

TEST(ServerOptions, AreTakenInAnyOrder) {
  const auto parsed = parse_server_options({{"enabled", "off"},
                                            {"command_timeout", "2s"},
                                            {"key_prefix", "app: é "},
                                            {"connect_timeout", "250"},
                                            {"url", "unix:///run/redis.sock?db=1"}});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().endpoint.path, "/run/redis.sock");
  EXPECT_EQ(parsed.value().key_prefix, "app: é ");
  EXPECT_EQ(parsed.value().connect_timeout, 250);
  EXPECT_EQ(parsed.value().command_timeout, 2000);
  EXPECT_FALSE(parsed.value().enabled);
}

TEST(ServerOptions, TakeTimesWithUnits) {
  const struct {
    const char* text;
    int milliseconds;
  } cases[] = {{"1", 1},          {"250ms", 250},     {"1s", 1000},        {"600s", 600000},
               {"10min", 600000}, {"600000", 600000}, {"600000ms", 600000}};
  for (const auto& c : cases) {
    const auto parsed = parse_server_options({{"url", kUrl}, {"connect_timeout", c.text}});
    ASSERT_TRUE(parsed.ok()) << c.text;
    EXPECT_EQ(parsed.value().connect_timeout, c.milliseconds) << c.text;
  }
}

TEST(ServerOptions, RefuseOtherTimes) {
  for (const char* text : {"", "0", "-1", "0s", "ms", "1.5s", "1 s", "1h", "601s", "11min", "600001", "1S",
                           "0x10", "9223372036854775807min", "99999999999999999999999", "1s1s"}) {
    const auto parsed = parse_server_options({{"url", kUrl}, {"command_timeout", text}});
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_STREQ(parsed.error().sqlstate, "HV00D");
    EXPECT_EQ(parsed.error().message,
              std::string("invalid value for option \"command_timeout\": \"") + text + "\"");
    EXPECT_EQ(parsed.error().hint,
              "Give a time from 1 ms to 10 min, in milliseconds or with a unit: \"ms\", \"s\", \"min\".");
  }
}

TEST(ServerOptions, AreForLateReaders) {
  const auto none = parse_server_options({{"url", kUrl}});
  EXPECT_EQ(none.value().lease_prefix, "");
  EXPECT_EQ(none.value().second_delete_after, 0);
  EXPECT_TRUE(none.value().publish_channel.empty());
  const auto parsed = parse_server_options({{"url", kUrl},
                                            {"lease_prefix", "lease:"},
                                            {"second_delete_after", "1s"},
                                            {"publish_channel", "changes:{$resource}"}});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().lease_prefix, "lease:");
  EXPECT_EQ(parsed.value().second_delete_after, 1000);
  EXPECT_FALSE(parsed.value().publish_channel.empty());
}

TEST(ServerOptions, LimitTheSecondDelete) {
  for (const char* text : {"0", "0s", "60000", "60s", "1min"}) {
    EXPECT_TRUE(parse_server_options({{"url", kUrl}, {"second_delete_after", text}}).ok()) << text;
  }
  for (const char* text : {"", "-1", "60001", "61s", "2min", "soon"}) {
    const auto parsed = parse_server_options({{"url", kUrl}, {"second_delete_after", text}});
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().hint.find("0 (off) to 1 min"), std::string::npos);
  }
}

TEST(ServerOptions, RefuseAChannelWithOtherPlaceholders) {
  const auto parsed = parse_server_options({{"url", kUrl}, {"publish_channel", "task:{id}"}});
  ASSERT_FALSE(parsed.ok());
  EXPECT_STREQ(parsed.error().sqlstate, "HV00D");
  EXPECT_EQ(parsed.error().message, "invalid value for option \"publish_channel\": \"task:{id}\"");
  EXPECT_EQ(parsed.error().detail, "The placeholder {id} is not known here.");
  EXPECT_NE(parsed.error().hint.find("{$id}"), std::string::npos);
}

TEST(ServerOptions, TakeFlags) {
  for (const char* text : {"true", "on", "yes", "1"}) {
    const auto parsed = parse_server_options({{"url", kUrl}, {"enabled", text}});
    ASSERT_TRUE(parsed.ok());
    EXPECT_TRUE(parsed.value().enabled) << text;
  }
  for (const char* text : {"false", "off", "no", "0"}) {
    const auto parsed = parse_server_options({{"url", kUrl}, {"enabled", text}});
    ASSERT_TRUE(parsed.ok());
    EXPECT_FALSE(parsed.value().enabled) << text;
  }
  const auto parsed = parse_server_options({{"url", kUrl}, {"enabled", "maybe"}});
  ASSERT_FALSE(parsed.ok());
  EXPECT_STREQ(parsed.error().sqlstate, "HV00D");
  EXPECT_EQ(parsed.error().message, "invalid value for option \"enabled\": \"maybe\"");
  EXPECT_EQ(parsed.error().hint, "Give \"true\" or \"false\".");
}

TEST(ServerOptions, RefuseWhatIsMissingOrUnknown) {
  const struct {
    Options options;
    const char* message;
    const char* detail;
    const char* hint;
  } cases[] = {
      {{}, "option \"url\" is required", "", "Give for example OPTIONS (url 'redis://127.0.0.1:6379/0')."},
      {{{"enabled", "true"}},
       "option \"url\" is required",
       "",
       "Give for example OPTIONS (url 'redis://127.0.0.1:6379/0')."},
      {{{"host", "h"}},
       "invalid option \"host\"",
       "",
       "Options of a server are \"url\", \"key_prefix\", \"lease_prefix\", \"second_delete_after\", \"publish_channel\", "
       "\"connect_timeout\", \"command_timeout\" and \"enabled\"."},
      {{{"username", "u"}},
       "invalid option \"username\" for a server",
       "Every user can read the options of a server.",
       "Put it into CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (...)."},
      {{{"password", "p"}},
       "invalid option \"password\" for a server",
       "Every user can read the options of a server.",
       "Put it into CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (...)."},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.message);
    const auto parsed = parse_server_options(c.options);
    ASSERT_FALSE(parsed.ok());
    EXPECT_STREQ(parsed.error().sqlstate, "HV00D");
    EXPECT_EQ(parsed.error().message, c.message);
    EXPECT_EQ(parsed.error().detail, c.detail);
    EXPECT_EQ(parsed.error().hint, c.hint);
  }
}

TEST(MappingOptions, AreTaken) {
  const auto none = parse_mapping_options({});
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none.value().username.empty() && none.value().password.empty());
  const auto both = parse_mapping_options({{"password", "p w'\n"}, {"username", "u"}});
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both.value().username, "u");
  EXPECT_EQ(both.value().password, "p w'\n");
  const auto password_only = parse_mapping_options({{"password", "p"}});
  ASSERT_TRUE(password_only.ok());
  EXPECT_EQ(password_only.value().username, "");
}

TEST(MappingOptions, RefuseAndExplain) {
  const auto unknown = parse_mapping_options({{"user", "u"}});
  ASSERT_FALSE(unknown.ok());
  EXPECT_STREQ(unknown.error().sqlstate, "HV00D");
  EXPECT_EQ(unknown.error().message, "invalid option \"user\"");
  EXPECT_EQ(unknown.error().hint, "Options of a user mapping are \"username\" and \"password\".");
  const auto alone = parse_mapping_options({{"username", "u"}});
  ASSERT_FALSE(alone.ok());
  EXPECT_STREQ(alone.error().sqlstate, "HV00D");
  EXPECT_EQ(alone.error().message, "option \"password\" is required with \"username\"");
  EXPECT_EQ(alone.error().hint, "Add the password, or leave both out.");
}

TEST(TargetOptions, NeverRepeatASecret) {
  const std::string secret = "hunter2";
  const Options server_options[] = {
      {{"password", secret}},
      {{"username", secret}},
      {{"passwd", secret}},
      {{"url", "redis://u:" + secret + "@localhost"}},
      {{"url", "redis://:" + secret + "@localhost:99999/x"}},
      {{"url", "redis://localhost:" + secret}},
      {{"url", "redis://localhost/" + secret}},
      {{"url", "redis://localhost?password=" + secret}},
      {{"url", secret}},
      {{"url", secret + "://localhost"}},
      {{"url", "unix:///s?password=" + secret}},
  };
  const Options mapping_options[] = {{{"passwrd", secret}},
                                     {{"password", secret}, {"x", secret}},
                                     {{"username", secret}},
                                     {{"username", secret}, {"password", ""}}};
  const auto expect_silence = [&secret](const core::Error& error) {
    for (const std::string& text : {error.message, error.detail, error.hint}) {
      EXPECT_EQ(text.find(secret), std::string::npos) << text;
    }
  };
  for (const Options& options : server_options) {
    const auto parsed = parse_server_options(options);
    ASSERT_FALSE(parsed.ok());
    expect_silence(parsed.error());
  }
  for (const Options& options : mapping_options) {
    const auto parsed = parse_mapping_options(options);
    ASSERT_FALSE(parsed.ok());
    expect_silence(parsed.error());
  }
}

TEST(OptionText, ComparesBothParts) {
  const OptionText one{"a", "b"};
  EXPECT_TRUE(one == (OptionText{"a", "b"}));
  EXPECT_FALSE(one == (OptionText{"a", "c"}));
  EXPECT_FALSE(one == (OptionText{"x", "b"}));
}

}  // namespace
}  // namespace cache_invalidate::delivery
