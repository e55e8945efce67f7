// Templates as functions are given them.
#include "core/template_list.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

using Texts = std::vector<std::string>;

Texts list(std::string_view text) {
  Result<Texts> parsed = parse_template_list("keys", text);
  return parsed.ok() ? parsed.value() : Texts{"error", parsed.error().detail};
}

TEST(TemplateList, IsOneTemplateWithoutBracesAround) {
  EXPECT_EQ(list("task:{id}"), Texts{"task:{id}"});
  EXPECT_EQ(list("{id}"), Texts{"{id}"}) << "a placeholder alone";
  EXPECT_EQ(list("{\"odd, name\"}"), Texts{"{\"odd, name\"}"});
  EXPECT_EQ(list("{a}:{b}"), Texts{"{a}:{b}"});
  EXPECT_EQ(list("{{a}}:{{b}}"), Texts{"{{a}}:{{b}}"});
  EXPECT_EQ(list("a,b"), Texts{"a,b"});
  EXPECT_EQ(list(" a "), Texts{" a "});
  EXPECT_EQ(list(""), Texts{""});
  EXPECT_EQ(list("{task:{id}"), Texts{"{task:{id}"}) << "not closed: the template's parser tells";
  EXPECT_EQ(list("{a\"}"), Texts{"{a\"}"});
}

TEST(TemplateList, IsAListInBraces) {
  EXPECT_EQ(list("{task:{id}}"), Texts{"task:{id}"});
  EXPECT_EQ(list("{task:{id},tasks:list:{project_id}}"), (Texts{"task:{id}", "tasks:list:{project_id}"}));
  EXPECT_EQ(list(" { task:{id} , x }\n"), (Texts{"task:{id}", "x"}));
  EXPECT_EQ(list("{}"), Texts{});
  EXPECT_EQ(list("{ }"), Texts{});
  EXPECT_EQ(list("{{id}}"), Texts{"{id}"});
  EXPECT_EQ(list("{{a}:{b},{c}}"), (Texts{"{a}:{b}", "{c}"}));
  EXPECT_EQ(list("{x:{\"odd, }name\"},y}"), (Texts{"x:{\"odd, }name\"}", "y"}));
}

TEST(TemplateList, TakesQuotesAsAnArrayDoes) {
  EXPECT_EQ(list("{\"task:{id}\"}"), Texts{"task:{id}"});
  EXPECT_EQ(list("{\"a,{b}\",\"c \\\"{d}\\\\\"}"), (Texts{"a,{b}", "c \"{d}\\"}));
  EXPECT_EQ(list("{\"\",x}"), (Texts{"", "x"}));
}

TEST(TemplateList, TellsWhatIsWrong) {
  EXPECT_EQ(list("{a,,b}"), (Texts{"error", "There is an empty element."}));
  EXPECT_EQ(list("{a,}"), (Texts{"error", "There is an empty element."}));
  EXPECT_EQ(list("{\"a\"b,{c}}"), (Texts{"error", "There is text behind a closing quote."}));
}

TEST(TemplateList, PutsNamesOfTablesLiterally) {
  EXPECT_EQ(replace_table_names("{$schema}:{$table}:{id}", "app", "tasks", false), "app:tasks:{id}");
  EXPECT_EQ(replace_table_names("{$table}", "app", "odd {name}", false), "odd {{name}}");
  EXPECT_EQ(replace_table_names("{$table}:*", "app", "a*[{b}", true), "a\\*\\[{{b}}:*");
  EXPECT_EQ(replace_table_names("{{$table}}:{{{$table}}}", "app", "t", false), "{{$table}}:{{t}}");
  EXPECT_EQ(replace_table_names("{\"{$table}\"}{$other}{", "app", "t", false), "{\"{$table}\"}{$other}{");
  EXPECT_EQ(replace_table_names("{\"open", "app", "t", false), "{\"open");
}

}  // namespace
}  // namespace cache_invalidate::core
