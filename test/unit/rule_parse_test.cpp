// The arguments of a trigger: what they mean, and how each mistake is answered.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/rule.hpp"

namespace cache_invalidate::core {
namespace {

using Names = std::vector<std::string>;

RuleSpec parsed(const std::vector<std::string>& arguments) {
  Result<RuleSpec> result = parse_rule(arguments);
  if (result.ok()) return result.take();
  ADD_FAILURE() << result.error().message;
  return RuleSpec();
}

TEST(ParseRule, HasDefaults) {
  const RuleSpec spec = parsed({});
  EXPECT_TRUE(spec.keys.empty());
  EXPECT_FALSE(spec.has_id);
  EXPECT_FALSE(spec.has_resource);
  EXPECT_FALSE(spec.has_channel);
  EXPECT_EQ(spec.format, Format::record);
  EXPECT_TRUE(spec.fields.empty() && spec.servers.empty() && spec.columns.empty() && spec.ignore.empty());
}

TEST(ParseRule, TakesEveryArgument) {
  const RuleSpec spec =
      parsed({"key=task:{id}", "resource=task", "id={id}-{part}", "fields=title,projectId=project_id",
              "format=resource", "channel=tasks", "server=a, b", " columns = title , status ",
              "pattern=p:{id}:*", "key=tasks=all:{project_id}", "pattern=*"});
  ASSERT_EQ(spec.keys.size(), 2u);
  EXPECT_EQ(path_text(spec.keys[0].parts()[0].placeholder.path), "id");
  EXPECT_EQ(spec.keys[1].parts()[0].literal, "tasks=all:");
  ASSERT_EQ(spec.patterns.size(), 2u);
  EXPECT_EQ(spec.patterns[0].parts()[1].literal, ":*");
  EXPECT_TRUE(spec.has_resource);
  EXPECT_EQ(spec.resource, "task");
  EXPECT_TRUE(spec.has_id);
  EXPECT_EQ(spec.id.parts().size(), 2u);
  ASSERT_EQ(spec.fields.size(), 2u);
  EXPECT_EQ(spec.fields[0].name + "/" + path_text(spec.fields[0].path), "title/title");
  EXPECT_EQ(spec.fields[1].name + "/" + path_text(spec.fields[1].path), "projectId/project_id");
  EXPECT_EQ(spec.format, Format::resource);
  EXPECT_TRUE(spec.has_channel);
  EXPECT_EQ(spec.channel, "tasks");
  EXPECT_EQ(spec.servers, (Names{"a", "b"}));
  EXPECT_EQ(spec.columns, (Names{"title", "status"}));
  EXPECT_EQ(parsed({"ignore=updated_at,seen at"}).ignore, (Names{"updated_at", "seen at"}));
}

TEST(ParseRule, TakesFieldsUnderOtherNames) {
  const RuleSpec spec = parsed({"fields=a, b = col , c=x=y"});
  ASSERT_EQ(spec.fields.size(), 3u);
  EXPECT_EQ(spec.fields[1].name + "/" + path_text(spec.fields[1].path), "b/col");
  EXPECT_EQ(spec.fields[2].name + "/" + path_text(spec.fields[2].path), "c/x=y");
}

TEST(ParseRule, TakesAnEmptyChannelAsNoMessage) {
  const RuleSpec spec = parsed({"channel="});
  EXPECT_TRUE(spec.has_channel);
  EXPECT_EQ(spec.channel, "");
}

TEST(ParseRule, TakesNamesUpToTheirLimits) {
  EXPECT_EQ(parsed({"channel=" + std::string(63, 'c')}).channel.size(), 63u);
  EXPECT_EQ(parsed({"resource=" + std::string(255, 'r')}).resource.size(), 255u);
}

constexpr const char* kArguments =
    "Arguments are \"key\", \"pattern\", \"resource\", \"id\", \"payload\", \"fields\", \"format\", "
    "\"channel\", "
    "\"server\", "
    "\"columns\", "
    "\"ignore\" and \"unchanged\", each written as 'name=value'.";
constexpr const char* kFields =
    "Write a column's name, or a name in the message and the column, as in "
    "\"fields=title,projectId=project_id\".";

struct Refused {
  std::vector<std::string> arguments;
  const char* sqlstate;
  std::string message;
  std::string detail;
  std::string hint;
};

TEST(ParseRule, RefusesAndExplains) {
  const std::string long_channel(64, 'c');
  const std::string long_resource(256, 'r');
  const Refused cases[] = {
      {{"task:{id}"}, "42601", "invalid argument \"task:{id}\"", "There is no \"=\" in it.", kArguments},
      {{""}, "42601", "invalid argument \"\"", "There is no \"=\" in it.", kArguments},
      {{"keys=a"}, "22023", "unrecognized argument \"keys\"", "", kArguments},
      {{"KEY=a"}, "22023", "unrecognized argument \"KEY\"", "", kArguments},
      {{"=a"}, "22023", "unrecognized argument \"\"", "", kArguments},
      {{"id={a}", "id={b}"},
       "42710",
       "argument \"id\" is given more than once",
       "",
       "Only \"key\" and \"pattern\" may be repeated."},
      {{"columns=a", "columns=b"},
       "42710",
       "argument \"columns\" is given more than once",
       "",
       "Only \"key\" and \"pattern\" may be repeated."},
      {{"fields=id", "format=resource"},
       "42710",
       "field \"id\" would stand in the message twice",
       "",
       "Give it another name, as in \"fields=id2=id\"."},
      {{"fields=a,a=b"},
       "42710",
       "field \"a\" would stand in the message twice",
       "",
       "Give it another name, as in \"fields=a2=b\"."},
      {{"pattern=x[{a}]*"},
       "42601",
       "invalid template in argument \"pattern\": \"x[{a}]*\"",
       "Placeholder \"{a}\" stands inside brackets or behind a backslash.",
       "Put placeholders where the glob has plain text."},
      {{"pattern=x\\{a}"},
       "42601",
       "invalid template in argument \"pattern\": \"x\\{a}\"",
       "Placeholder \"{a}\" stands inside brackets or behind a backslash.",
       "Put placeholders where the glob has plain text."},
      {{"format=json"},
       "22023",
       "invalid value for argument \"format\": \"json\"",
       "",
       "Available formats are \"record\" and \"resource\"."},
      {{"channel=" + long_channel},
       "42602",
       "channel name \"" + long_channel + "\" is too long",
       "It has 64 bytes.",
       "A channel name may have at most 63 bytes; an empty one sends no message."},
      {{"resource="},
       "22023",
       "invalid value for argument \"resource\": \"\"",
       "It has 0 bytes.",
       "A resource name has 1 to 255 bytes."},
      {{"resource=" + long_resource},
       "22023",
       "invalid value for argument \"resource\": \"" + long_resource + "\"",
       "It has 256 bytes.",
       "A resource name has 1 to 255 bytes."},
      {{"columns="},
       "22023",
       "empty name in argument \"columns\"",
       "",
       "Write the names with commas between them, as in \"columns=a,b\"."},
      {{"ignore=a,,b"},
       "22023",
       "empty name in argument \"ignore\"",
       "",
       "Write the names with commas between them, as in \"ignore=a,b\"."},
      {{"server=a, "},
       "22023",
       "empty name in argument \"server\"",
       "",
       "Write the names with commas between them, as in \"server=a,b\"."},
      {{"fields=,a"},
       "22023",
       "empty name in argument \"fields\"",
       "",
       "Write the names with commas between them, as in \"fields=a,b\"."},
      {{"fields=a,=b"}, "22023", "invalid item in argument \"fields\": \"=b\"", "", kFields},
      {{"fields=a= "}, "22023", "invalid item in argument \"fields\": \"a=\"", "", kFields},
      {{"columns=a", "ignore=b"},
       "22023",
       "arguments \"columns\" and \"ignore\" exclude each other",
       "",
       "Name the columns that count, or those that do not."},
      {{"key="},
       "42601",
       "invalid template in argument \"key\": \"\"",
       "The template is empty.",
       "Write column names in braces, as in \"task:{id}\", and literal braces as \"{{\" and \"}}\"."},
      {{"id=a{"},
       "42601",
       "invalid template in argument \"id\": \"a{\"",
       "There is an unterminated placeholder at character 2.",
       "Write column names in braces, as in \"task:{id}\", and literal braces as \"{{\" and \"}}\"."},
  };
  for (const Refused& c : cases) {
    SCOPED_TRACE(c.arguments.front());
    const Result<RuleSpec> result = parse_rule(c.arguments);
    ASSERT_FALSE(result.ok());
    EXPECT_STREQ(result.error().sqlstate, c.sqlstate);
    EXPECT_EQ(result.error().message, c.message);
    EXPECT_EQ(result.error().detail, c.detail);
    EXPECT_EQ(result.error().hint, c.hint);
  }
}

TEST(ParseRule, UsesWhatCanBeUsed) {
  std::string problem;
  const RuleSpec spec = parse_usable({"key=a:{id", "key=b:{id}", "columns=x", "nonsense", "ignore=y", "channel=c"}, problem);
  EXPECT_EQ(problem, "invalid template in argument \"key\": \"a:{id\"");
  ASSERT_EQ(spec.keys.size(), 1u);
  EXPECT_EQ(spec.keys[0].parts()[0].literal, "b:");
  EXPECT_EQ(spec.columns, std::vector<std::string>{"x"});
  EXPECT_TRUE(spec.ignore.empty()) << "it does not go with columns";
  EXPECT_EQ(spec.channel, "c");
  problem.clear();
  EXPECT_EQ(parse_usable({"key=a"}, problem).keys.size(), 1u);
  EXPECT_EQ(problem, "");
}

}  // namespace
}  // namespace cache_invalidate::core
