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
    if (part.has_column) text += "<" + part.column + ">";
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

TEST(Template, RefusesAPathOverAForeignKey) {
  const Result<Template> parsed = Template::parse("id", "{call_id.user_id}");
  ASSERT_FALSE(parsed.ok());
  EXPECT_STREQ(parsed.error().sqlstate, "0A000");
  EXPECT_EQ(parsed.error().message, "invalid template in argument \"id\": \"{call_id.user_id}\"");
  EXPECT_EQ(parsed.error().detail, "Placeholder \"{call_id.user_id}\" is a path over a foreign key.");
  EXPECT_EQ(parsed.error().hint,
            "Name a column of the table itself; quote a name that contains a dot, as in {\"a.b\"}.");
}

TEST(Template, JoinsColumns) {
  EXPECT_EQ(shown(Template::of_columns({}, ":")), "");
  EXPECT_EQ(shown(Template::of_columns({"id"}, ":")), "<id>");
  EXPECT_EQ(shown(Template::of_columns({"a", "b.c", "d}"}, ":")), "<a>:<b.c>:<d}>");
}

}  // namespace
}  // namespace cache_invalidate::core
