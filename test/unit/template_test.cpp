// Templates: what is accepted, and where a refusal says the mistake is.
#include "core/template.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

// "literal<column>literal<column>literal"
std::string shown(const Template& parsed) {
  std::string text;
  for (const TemplatePart& part : parsed.parts()) {
    text += part.literal;
    for (std::size_t i = 0; i < part.placeholder.path.size(); ++i) {
      text += (i == 0 ? "<" : "|") + part.placeholder.path[i];
    }
    if (!part.placeholder.variable.empty()) text += "<$" + part.placeholder.variable;
    if (part.placeholder.cast == Cast::text) text += "::text";
    if (part.placeholder.cast == Cast::number) text += "::number";
    if (part.has_placeholder) text += ">";
  }
  return text;
}

TEST(Template, Accepts) {
  const struct {
    const char* text;
    const char* parsed;
  } cases[] = {
      {"plain", "plain"},
      {"task:{id}", "task:<id>"},
      {"{a}{b}", "<a><b>"},
      {"{a}:{a}:", "<a>:<a>:"},
      {"{{", "{"},
      {"}}", "}"},
      {"{{}}", "{}"},
      {"{{id}}", "{id}"},
      {"{{{id}}}", "{<id>}"},
      {"{id}}}", "<id>}"},
      {"{{{{{id}", "{{<id>"},
      {"{with space}", "<with space>"},
      {"{Größe}", "<Größe>"},
      {"{\"a.b\"}", "<a.b>"},
      {"{\"a}b\"}", "<a}b>"},
      {"{\"a{b\"}:x", "<a{b>:x"},
      {"{\"say \"\"hi\"\"\"}", "<say \"hi\">"},
      {"{a\"b}", "<a\"b>"},
      {"100% \\ ' \" {x} \n", "100% \\ ' \" <x> \n"},
      {"ключ:{id}", "ключ:<id>"},
      {"{call_id.user_id}", "<call_id|user_id>"},
      {"{a.b.c}:{\"a.b\".\"c\"}", "<a|b|c>:<a.b|c>"},
      {"{a::text}", "<a::text>"},
      {"{\"$a\"}", "<$a>"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const Result<Template> parsed = Template::parse("key", c.text);
    ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
    EXPECT_EQ(shown(parsed.value()), c.parsed);
  }
}

TEST(Template, RefusesAndSaysWhere) {
  const struct {
    const char* text;
    const char* detail;
  } cases[] = {
      {"", "The template is empty."},
      {"{", "There is an unterminated placeholder at character 1."},
      {"a{b", "There is an unterminated placeholder at character 2."},
      {"a{b{c}", "There is an unterminated placeholder at character 2."},
      {"{a} {", "There is an unterminated placeholder at character 5."},
      {"{}", "There is an empty placeholder at character 1."},
      {"x{\"\"}", "There is an empty placeholder at character 2."},
      {"x{\"a}", "There is an unterminated quoted name at character 3."},
      {"x{\"a\"\"}", "There is an unterminated quoted name at character 3."},
      {"x{\"a\"b}", "There is an unterminated placeholder at character 2."},
      {"x{\"a\"", "There is an unterminated placeholder at character 2."},
      {"a}", "There is a closing brace without an opening one at character 2."},
      {"{a}}", "There is a closing brace without an opening one at character 4."},
      {"}a}", "There is a closing brace without an opening one at character 1."},
      {"ключ}", "There is a closing brace without an opening one at character 5."},
      {"日本{", "There is an unterminated placeholder at character 3."},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const Result<Template> parsed = Template::parse("key", c.text);
    ASSERT_FALSE(parsed.ok());
    EXPECT_STREQ(parsed.error().sqlstate, "42601");
    EXPECT_EQ(parsed.error().message,
              std::string("invalid template in argument \"key\": \"") + c.text + "\"");
    EXPECT_EQ(parsed.error().detail, c.detail);
    EXPECT_EQ(parsed.error().hint,
              "Write column names in braces, as in \"task:{id}\", and literal braces as \"{{\" and \"}}\".");
  }
}

TEST(Template, RefusesAPathWithAHole) {
  for (const char* text : {"{a.}", "{.a}", "{a..b}", "{a.\"\"}"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(Template::parse("key", text).ok());
  }
  EXPECT_EQ(Template::parse("key", "{a.}").error().detail, "There is an empty name at character 1.");
}

TEST(Template, TakesVariablesAndTypesInPayloads) {
  const struct {
    const char* text;
    const char* parsed;
  } cases[] = {
      {"{$id}", "<$id>"},
      {"{$batch_id::number}", "<$batch_id::number>"},
      {"at {$timestamp}: {a.b::text}!", "at <$timestamp>: <a|b::text>!"},
      {"{\"a::b\"}", "<a::b>"},
      {"{a:b}", "<a:b>"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const Result<Template> parsed = Template::parse("payload", c.text, Grammar::payload);
    ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
    EXPECT_EQ(shown(parsed.value()), c.parsed);
  }
  EXPECT_EQ(Template::parse("key", "{$id}").error().detail, "There is a placeholder of messages at character 1.");
  EXPECT_EQ(Template::parse("payload", "{$}", Grammar::payload).error().detail, "There is an empty placeholder at character 1.");
  EXPECT_EQ(Template::parse("payload", "{a::int}", Grammar::payload).error().detail, "There is an unknown type at character 5.");
}

TEST(Template, WritesPathsAsTheyAreRead) {
  for (const char* text : {"id", "call_id.user_id", "\"a.b\".c", "\"say \"\"hi\"\"\".\"$x\""}) {
    const Result<ColumnPath> path = parse_path("fields", text);
    ASSERT_TRUE(path.ok());
    EXPECT_EQ(path_text(path.value()), text);
  }
  EXPECT_FALSE(parse_path("fields", "a}b").ok());
  EXPECT_FALSE(parse_path("fields", "a.").ok());
}

TEST(Template, JoinsColumns) {
  EXPECT_EQ(shown(Template::of_columns({}, ":")), "");
  EXPECT_EQ(shown(Template::of_columns({"id"}, ":")), "<id>");
  EXPECT_EQ(shown(Template::of_columns({"a", "b.c", "d}"}, ":")), "<a>:<b.c>:<d}>");
}

}  // namespace
}  // namespace cache_invalidate::core
