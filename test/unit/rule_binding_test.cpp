// A rule bound to a table: which columns it reads, what its record id is, and which columns count.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/rule.hpp"

namespace cache_invalidate::core {
namespace {

using Numbers = std::vector<std::int16_t>;

TableFacts tasks() {
  TableFacts table;
  table.schema = "public";
  table.table = "tasks";
  // Number 3 was dropped.
  table.columns = {{"id", 1, JsonKind::number},
                   {"title", 2, JsonKind::text},
                   {"project_id", 4, JsonKind::number},
                   {"done", 5, JsonKind::boolean},
                   {"extra", 6, JsonKind::json}};
  table.primary_key = {"id"};
  return table;
}

Result<Rule> bind(const std::vector<std::string>& arguments, const TableFacts& table = tasks()) {
  const Result<RuleSpec> spec = parse_rule(arguments);
  if (!spec.ok()) return spec.error();
  return bind_rule(spec.value(), table);
}

Rule bound(const std::vector<std::string>& arguments, const TableFacts& table = tasks()) {
  Result<Rule> rule = bind(arguments, table);
  if (rule.ok()) return rule.take();
  ADD_FAILURE() << rule.error().message;
  return Rule();
}

Numbers columns_of(const Rule& rule) {
  Numbers numbers;
  for (const Input& input : rule.inputs) numbers.push_back(input.number);
  return numbers;
}

// "literal<attribute number>"
std::string shown(const BoundTemplate& source, const Rule& rule) {
  std::string text;
  for (const BoundPart& part : source) {
    text += part.literal;
    if (part.input >= 0)
      text += "<" + std::to_string(rule.inputs[static_cast<std::size_t>(part.input)].number) + ">";
  }
  return text;
}

TEST(BindRule, TakesNameAndIdFromTheTable) {
  const Rule rule = bound({});
  EXPECT_EQ(rule.name, "tasks");
  EXPECT_EQ(shown(rule.id, rule), "<1>");
  EXPECT_EQ(columns_of(rule), Numbers{1});
  EXPECT_TRUE(rule.keys.empty());
  EXPECT_TRUE(rule.any_change);
  EXPECT_TRUE(rule.significant.empty());
  EXPECT_TRUE(rule.listed.empty());
  EXPECT_FALSE(rule.has_channel);
}

TEST(BindRule, JoinsACompositePrimaryKeyInKeyOrder) {
  TableFacts table = tasks();
  table.primary_key = {"project_id", "id"};
  const Rule rule = bound({}, table);
  EXPECT_EQ(shown(rule.id, rule), "<4>:<1>");
}

TEST(BindRule, HasNoIdWithoutPrimaryKey) {
  TableFacts table = tasks();
  table.primary_key = {};
  EXPECT_TRUE(bound({}, table).id.empty());
  const Rule rule = bound({"id=p{project_id}"}, table);
  EXPECT_EQ(shown(rule.id, rule), "p<4>");
}

TEST(BindRule, PrefersWhatTheArgumentsSay) {
  const Rule rule = bound({"resource=task", "id={title}", "channel=c", "format=resource", "server=b,a"});
  EXPECT_EQ(rule.name, "task");
  EXPECT_EQ(shown(rule.id, rule), "<2>");
  EXPECT_TRUE(rule.has_channel);
  EXPECT_EQ(rule.channel, "c");
  EXPECT_EQ(rule.format, Format::resource);
  EXPECT_EQ(rule.servers, (std::vector<std::string>{"b", "a"}));
}

TEST(BindRule, ReadsEachColumnOnce) {
  const Rule rule = bound({"key={project_id}:{id}:{project_id}", "key=x{id}y", "key=plain",
                           "fields=title,project_id", "pattern={extra}*{id}"});
  EXPECT_EQ(columns_of(rule), (Numbers{4, 1, 6, 2}));
  ASSERT_EQ(rule.patterns.size(), 1u);
  EXPECT_EQ(shown(rule.patterns[0], rule), "<6>*<1>");
  ASSERT_EQ(rule.keys.size(), 3u);
  EXPECT_EQ(shown(rule.keys[0], rule), "<4>:<1>:<4>");
  EXPECT_EQ(shown(rule.keys[1], rule), "x<1>y");
  EXPECT_EQ(shown(rule.keys[2], rule), "plain");
}

TEST(BindRule, NamesFieldsAndKnowsTheirKind) {
  const Rule rule = bound({"fields=title,isDone=done,e\"x=extra,id"});
  ASSERT_EQ(rule.fields.size(), 4u);
  const char* const names[] = {"\"title\":", "\"isDone\":", "\"e\\\"x\":", "\"id\":"};
  const JsonKind kinds[] = {JsonKind::text, JsonKind::boolean, JsonKind::json, JsonKind::number};
  const std::int16_t numbers[] = {2, 5, 6, 1};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rule.fields[i].json_name, names[i]);
    EXPECT_EQ(rule.fields[i].json_kind, kinds[i]);
    EXPECT_EQ(rule.inputs[static_cast<std::size_t>(rule.fields[i].input)].number, numbers[i]);
  }
}

TEST(BindRule, CountsTheListedColumnsOrAllButThem) {
  const struct {
    const char* argument;
    Numbers significant;
    Numbers listed;
  } cases[] = {
      {"columns=title", {2}, {2}},
      {"columns=extra,id", {1, 6}, {6, 1}},
      {"columns=id,id", {1}, {1, 1}},
      {"ignore=extra", {1, 2, 4, 5}, {6}},
      {"ignore=id,title,project_id,done,extra", {}, {1, 2, 4, 5, 6}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.argument);
    const Rule rule = bound({c.argument});
    EXPECT_FALSE(rule.any_change);
    EXPECT_EQ(rule.significant, c.significant);
    EXPECT_EQ(rule.listed, c.listed);
    EXPECT_EQ(columns_of(rule), Numbers{1}) << "what decides is not read for that";
  }
}

TEST(BindRule, RefusesUnknownColumnsAndListsThoseThereAre) {
  const struct {
    const char* argument;
    const char* name;
    const char* column;
  } cases[] = {
      {"key=a:{nope}", "key", "nope"},
      {"pattern={nope}*", "pattern", "nope"},
      {"id={ID}", "id", "ID"},
      {"fields=title,x=gone", "fields", "gone"},
      {"columns=title,no", "columns", "no"},
      {"ignore=\"title\"", "ignore", "\"title\""},
      {"key={ id}", "key", " id"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.argument);
    const Result<Rule> rule = bind({c.argument});
    ASSERT_FALSE(rule.ok());
    EXPECT_STREQ(rule.error().sqlstate, "42703");
    EXPECT_EQ(rule.error().message,
              std::string("column \"") + c.column + "\" of table \"tasks\" does not exist");
    EXPECT_EQ(rule.error().detail, std::string("Argument \"") + c.name + "\" of the trigger names it.");
    EXPECT_EQ(rule.error().hint,
              "Columns of the table are \"id\", \"title\", \"project_id\", \"done\", \"extra\".");
  }
}

TEST(BindRule, KeepsWhatIsStillKnownOfABrokenRule) {
  const Result<RuleSpec> spec = parse_rule({"key=a:{gone}:{id}", "key=b:{project_id}", "id={gone}", "fields=title,gone"});
  ASSERT_TRUE(spec.ok());
  EXPECT_FALSE(bind_rule(spec.value(), tasks()).ok());
  std::string problem;
  const Result<Rule> rule = bind_rule(spec.value(), tasks(), &problem);
  ASSERT_TRUE(rule.ok());
  EXPECT_EQ(problem, "column \"gone\" of table \"tasks\" does not exist");
  EXPECT_EQ(shown(rule.value().keys[0], rule.value()), "a:<0>:<1>");
  EXPECT_EQ(shown(rule.value().keys[1], rule.value()), "b:<4>");
  EXPECT_EQ(shown(rule.value().id, rule.value()), "<0>");
}

TEST(BindRule, CountsEveryUpdateWhenASignificantColumnIsGone) {
  std::string problem;
  const Result<RuleSpec> spec = parse_rule({"columns=title,gone"});
  EXPECT_TRUE(bind_rule(spec.value(), tasks(), &problem).value().any_change);
  const Result<RuleSpec> ignoring = parse_rule({"ignore=title,gone"});
  EXPECT_FALSE(bind_rule(ignoring.value(), tasks(), &problem).value().any_change);
}

TEST(BindRule, TakesPathsThatAreResolved) {
  TableFacts table = tasks();
  table.paths = {{{"project_id", "owner"}, JsonKind::number}};
  const Rule rule = bound({"key=o:{project_id.owner}:{id}", "fields=owner=project_id.owner"}, table);
  ASSERT_EQ(rule.inputs.size(), 2u);
  EXPECT_TRUE(rule.inputs[0].is_foreign());
  EXPECT_EQ(rule.inputs[0].number, 4);
  EXPECT_EQ(rule.fields[0].json_kind, JsonKind::number);
  EXPECT_EQ(rule.fields[0].input, 0);
  EXPECT_EQ(bind({"key={project_id.name}"}, table).error().message, "path \"project_id.name\" from table \"tasks\" does not exist");
}

TEST(ParseRule, ListsThePathsOverForeignKeys) {
  const Result<RuleSpec> spec = parse_rule({"key={a.b}:{c}", "pattern={a.b}:{d.e.f}", "id={g.h}", "fields=x=i.j,k"});
  ASSERT_TRUE(spec.ok());
  std::vector<std::string> paths;
  for (const ColumnPath& path : foreign_paths(spec.value())) paths.push_back(path_text(path));
  EXPECT_EQ(paths, (std::vector<std::string>{"a.b", "d.e.f", "g.h", "i.j"}));
}

}  // namespace
}  // namespace cache_invalidate::core
