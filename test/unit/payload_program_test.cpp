// Argument "payload" from its text to the message: what a trigger's payload gives for a row, how it is made to fit, and
// that a damaged program gives a message all the same.
#include "core/payload_program.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/json_parser.hpp"
#include "core/payload.hpp"
#include "core/payload_values.hpp"

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kMoment = 1767323045678901;

TableFacts tasks() {
  TableFacts table;
  table.schema = "app";
  table.table = "tas\"ks";
  table.columns = {{"id", 1, JsonKind::number},   {"title", 2, JsonKind::text}, {"price", 3, JsonKind::number},
                   {"done", 4, JsonKind::boolean}, {"extra", 5, JsonKind::json}, {"$id", 6, JsonKind::number}};
  table.paths = {{{"id", "owner"}, JsonKind::number}};
  table.primary_key = {"id"};
  return table;
}

Result<Rule> attempt(const std::string& payload, std::vector<std::string> more = {}, std::string* problem = nullptr) {
  more.push_back("payload=" + payload);
  const Result<RuleSpec> spec = parse_rule(more);
  if (!spec.ok()) return spec.error();
  return bind_rule(spec.value(), tasks(), problem);
}

Rule bound(const std::string& payload, const std::vector<std::string>& more = {}) {
  Result<Rule> rule = attempt(payload, more);
  if (rule.ok()) return rule.take();
  ADD_FAILURE() << rule.error().message << ": " << rule.error().detail;
  return Rule();
}

Value null() { return Value(); }
Value unknown() {
  Value value;
  value.state = Value::State::unknown;
  return value;
}
Value known(std::string_view text) {
  return {text.data(), static_cast<std::uint32_t>(text.size()), Value::State::known};
}

struct Row {
  Value id = known("7");
  Value title = known("line\n\"two\"");
  Value price = known("1.50");
  Value done = known("t");
  Value extra = known("{\"a\": [1, null]}");
  Value odd = known("99");
  Value owner = known("12");
};

std::string values_of(const Rule& rule, const Row& row) {
  const Value by_number[] = {unknown(), row.id, row.title, row.price, row.done, row.extra, row.odd};
  std::vector<Value> values;
  for (const Input& input : rule.inputs) values.push_back(input.is_foreign() ? row.owner : by_number[input.number]);
  std::string out = "what stood there";
  render_row(rule, values.data(), out);
  return out;
}

Message message(const Rule& rule, const Row& row = {}, const std::string& id = "7", Operation operation = Operation::update) {
  Message made;
  made.shape.format = rule.format;
  made.shape.name = rule.name;
  made.shape.payload = rule.payload.program;
  made.operation = operation;
  made.id = id;
  if (!id.empty()) made.fields = values_of(rule, row);
  made.origin = {9007199254740993, kMoment};
  return made;
}

constexpr std::uint64_t kLsn = 0x16B374D848;

std::string rendered(const std::string& payload, const Row& row = {}, const std::string& id = "7") {
  return render_payload(message(bound(payload), row, id), false, kLsn);
}

TEST(PayloadProgram, GivesTheMessagesOfTheIssue) {
  Row row;
  row.title = known("0e37df36-f698-11e6-8dd4-cb9ced3df976");
  EXPECT_EQ(render_payload(message(bound("{\"resource\":\"{$resource}\",\"id\":\"{$id}\",\"action\":\"{$operation}\","
                                         "\"projectId\":\"{title}\",\"timestamp\":\"{$timestamp}\"}",
                                         {"resource=task"}),
                                   row),
                           false),
            "{\"resource\":\"task\",\"id\":\"7\",\"action\":\"UPDATE\",\"projectId\":\"0e37df36-f698-11e6-8dd4-cb9ced3df976\","
            "\"timestamp\":\"2026-01-02T03:04:05.678901+00:00\"}");
  EXPECT_EQ(rendered("{\"table\":\"{$table}\",\"operation\":\"{$operation}\",\"record_id\":\"{$id}\",\"timestamp\":\"{$epoch}\","
                     "\"batch_id\":\"{$batch_id}\"}"),
            "{\"table\":\"tas\\\"ks\",\"operation\":\"UPDATE\",\"record_id\":\"7\",\"timestamp\":1767323045.678901,"
            "\"batch_id\":\"9007199254740993\"}");
}

TEST(PayloadProgram, CopiesWhatIsNoTemplate) {
  EXPECT_EQ(rendered("{}"), "{}");
  EXPECT_EQ(rendered("{ \"v\" : 1.50e2 , \"a\":[ true, false,null,\"\", {} ,[]],\"{id}\":\"{{}} \\u00e9\\n\" }"),
            "{\"v\":1.50e2,\"a\":[true,false,null,\"\",{},[]],\"{id}\":\"{} é\\n\"}");
}

TEST(PayloadProgram, GivesAPlaceholderAloneItsColumnsType) {
  const std::string all =
      "{\"a\":\"{id}\",\"b\":\"{title}\",\"c\":\"{price}\",\"d\":\"{done}\",\"e\":\"{extra}\",\"f\":\"{id.owner}\",\"g\":\"{\\\"$id\\\"}\"}";
  EXPECT_EQ(rendered(all), "{\"a\":7,\"b\":\"line\\n\\\"two\\\"\",\"c\":1.50,\"d\":true,\"e\":{\"a\": [1, null]},\"f\":12,\"g\":99}");
  const Row nulls{null(), null(), null(), null(), null(), null(), null()};
  EXPECT_EQ(rendered(all, nulls), "{\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":null,\"f\":null,\"g\":null}");
  Row odd;
  odd.price = known("NaN");
  odd.done = known("f");
  odd.id = known("-Infinity");
  odd.extra = known("null");
  EXPECT_EQ(rendered("{\"a\":\"{id}\",\"c\":\"{price}\",\"d\":\"{done}\",\"e\":\"{extra}\"}", odd),
            "{\"a\":\"-Infinity\",\"c\":\"NaN\",\"d\":false,\"e\":null}");
}

TEST(PayloadProgram, Casts) {
  const std::string texts = "[\"{id::text}\",\"{title::text}\",\"{price::text}\",\"{done::text}\",\"{extra::text}\"]";
  const std::string numbers = "[\"{id::number}\",\"{title::number}\",\"{price::number}\",\"{done::number}\",\"{extra::number}\"]";
  EXPECT_EQ(rendered("{\"t\":" + texts + ",\"n\":" + numbers + "}"),
            "{\"t\":[\"7\",\"line\\n\\\"two\\\"\",\"1.50\",\"true\",\"{\\\"a\\\": [1, null]}\"],"
            "\"n\":[7,\"line\\n\\\"two\\\"\",1.50,\"true\",\"{\\\"a\\\": [1, null]}\"]}");
  Row row{null(), known("12e3"), null(), null(), known("5"), null(), null()};
  EXPECT_EQ(rendered("{\"t\":" + texts + ",\"n\":" + numbers + "}", row),
            "{\"t\":[null,\"12e3\",null,null,\"5\"],\"n\":[null,12e3,null,null,5]}");
}

TEST(PayloadProgram, PutsTextIntoLongerStrings) {
  EXPECT_EQ(rendered("{\"key\":\"task:{id}:{title}:{price}:{done}:{extra}:{done::text}\"}"),
            "{\"key\":\"task:7:line\\n\\\"two\\\":1.50:t:{\\\"a\\\": [1, null]}:true\"}");
  const Row nulls{null(), null(), null(), null(), null(), null(), null()};
  EXPECT_EQ(rendered("{\"key\":\"task:{id}:{title}:{done}.\"}", nulls), "{\"key\":\"task:::.\"}");
  EXPECT_EQ(rendered("{\"a\":\"{id}{id}\",\"b\":\" {id}\",\"c\":\"{id} \",\"d\":\"{{{id}}}\"}"),
            "{\"a\":\"77\",\"b\":\" 7\",\"c\":\"7 \",\"d\":\"{7}\"}");
}

TEST(PayloadProgram, KnowsItsVariables) {
  EXPECT_EQ(rendered("{\"a\":[\"{$operation}\",\"{$table}\",\"{$schema}\",\"{$resource}\",\"{$id}\",\"{$batch_id}\",\"{$timestamp}\","
                     "\"{$epoch}\",\"{$lsn}\"]}"),
            "{\"a\":[\"UPDATE\",\"tas\\\"ks\",\"app\",\"tas\\\"ks\",\"7\",\"9007199254740993\",\"2026-01-02T03:04:05.678901+00:00\","
            "1767323045.678901,\"16/B374D848\"]}");
  EXPECT_EQ(rendered("{\"a\":[\"{$operation::number}\",\"{$table::number}\",\"{$id::number}\",\"{$id::text}\",\"{$batch_id::number}\","
                     "\"{$timestamp::number}\",\"{$epoch::text}\",\"{$epoch::number}\",\"{$lsn::number}\"]}"),
            "{\"a\":[\"UPDATE\",\"tas\\\"ks\",7,\"7\",9007199254740993,\"2026-01-02T03:04:05.678901+00:00\","
            "\"1767323045.678901\",1767323045.678901,\"16/B374D848\"]}");
  EXPECT_EQ(rendered("{\"a\":\"<{$operation} {$table} {$schema} {$resource} {$id} {$batch_id} {$timestamp} {$epoch} {$lsn}>\"}", {}, "\"é"),
            "{\"a\":\"<UPDATE tas\\\"ks app tas\\\"ks \\\"é 9007199254740993 2026-01-02T03:04:05.678901+00:00 1767323045.678901 "
            "16/B374D848>\"}");
  EXPECT_EQ(rendered("{\"id\":\"{$id::number}\"}", {}, "1:2"), "{\"id\":\"1:2\"}");
  EXPECT_EQ(lsn_text(0), "0/0");
  EXPECT_EQ(lsn_text(~std::uint64_t{0}), "FFFFFFFF/FFFFFFFF");
}

TEST(PayloadProgram, TellsTheResourceFromTheTable) {
  const Rule rule = bound("{\"r\":\"{$resource}\",\"t\":\"x{$table}\"}", {"resource=12"});
  EXPECT_EQ(render_payload(message(rule), false), "{\"r\":\"12\",\"t\":\"xtas\\\"ks\"}");
  EXPECT_EQ(render_payload(message(bound("{\"r\":\"{$resource::number}\"}", {"resource=12"})), false), "{\"r\":12}");
}

TEST(PayloadProgram, LeavesOutWhatIsNotKnown) {
  const std::string payload =
      "{\"op\":\"{$operation}\",\"id\":\"{$id}\",\"deep\":{\"x\":[1,\"id {$id}\"]},\"title\":\"{title}\",\"list\":[\"a {title} b\"],\"v\":1}";
  EXPECT_EQ(rendered(payload),
            "{\"op\":\"UPDATE\",\"id\":\"7\",\"deep\":{\"x\":[1,\"id 7\"]},\"title\":\"line\\n\\\"two\\\"\","
            "\"list\":[\"a line\\n\\\"two\\\" b\"],\"v\":1}");
  EXPECT_EQ(rendered(payload, {}, ""), "{\"op\":\"UPDATE\",\"v\":1}");
  Row row;
  row.title = unknown();
  EXPECT_EQ(rendered(payload, row), "{\"op\":\"UPDATE\",\"id\":\"7\",\"deep\":{\"x\":[1,\"id 7\"]},\"v\":1}");
  EXPECT_EQ(rendered("{\"a\":\"{title}\",\"b\":\"{id}\"}", row), "{\"b\":7}");
  EXPECT_EQ(rendered("{\"a\":\"{id} {title}\"}", row), "{}");
  EXPECT_EQ(rendered("{\"id\":\"{$id}\"}", {}, ""), "{}");
}

TEST(PayloadProgram, LosesColumnsAndThenTheIdToFit) {
  const Rule rule = bound("{\"op\":\"{$operation}\",\"a\":\"{title}\",\"id\":\"{$id}\",\"b\":[\"{id}\"],\"both\":\"{$id}{id}\",\"v\":1}");
  const std::string bare = "{\"op\":\"UPDATE\",\"v\":1}";
  const std::string with_id = "{\"op\":\"UPDATE\",\"id\":\"7\",\"v\":1}";
  Row row;
  const std::string empty = render_payload(message(rule, {row.id, known("")}), false);
  const std::string longest(kPayloadLimit - empty.size(), 'x');
  row.title = known(longest);
  EXPECT_EQ(render_payload(message(rule, row), false).size(), 7999u);
  const std::string longer = longest + "x";
  row.title = known(longer);
  EXPECT_EQ(render_payload(message(rule, row), false), with_id);
  const std::string longest_id(kPayloadLimit - with_id.size() + 1, 'i');
  EXPECT_EQ(render_payload(message(rule, row, longest_id), false).size(), 7999u);
  EXPECT_EQ(render_payload(message(rule, row, longest_id + "i"), false), bare);
  EXPECT_EQ(render_payload(message(rule, {}, longest_id + "i"), false), bare) << "also when the columns are short";
}

TEST(PayloadProgram, CountsEscapesWhenItMustBeAscii) {
  std::string umlauts;
  for (int i = 0; i < 2000; ++i) umlauts += "ä";
  const Rule rule = bound("{\"ö\":\"{$operation}\",\"a\":\"{title}\",\"id\":\"{$id}\"}");
  Row row;
  row.title = known(umlauts);
  EXPECT_EQ(render_payload(message(rule, row, "ß"), false), "{\"ö\":\"UPDATE\",\"a\":\"" + umlauts + "\",\"id\":\"ß\"}");
  EXPECT_EQ(render_payload(message(rule, row, "ß"), true), "{\"\\u00f6\":\"UPDATE\",\"id\":\"\\u00df\"}");
  EXPECT_EQ(render_payload(message(rule, row, umlauts), true), "{\"\\u00f6\":\"UPDATE\"}");
}

TEST(PayloadProgram, ReadsEachValueOnce) {
  const Rule rule = bound("{\"a\":\"{title}\",\"b\":\"{title}\",\"c\":\"x{title}\",\"d\":\"{title}y\",\"e\":\"{title::text}\"}",
                          {"key=t:{id}", "id={id}"});
  EXPECT_EQ(rule.payload.values.size(), 3u) << "as a value, inside a string, cast";
  ASSERT_EQ(rule.inputs.size(), 2u);
  EXPECT_FALSE(rule.inputs[0].only_field);
  EXPECT_TRUE(rule.inputs[1].only_field);
  EXPECT_EQ(foreign_paths(parse_rule({"payload={\"a\":{\"b\":[\"{id.owner}\"]},\"c\":\" {a.b.c}{$id}\"}"}).value()),
            (std::vector<ColumnPath>{{"id", "owner"}, {"a", "b", "c"}}));
}

constexpr const char* kExample =
    "Write a JSON object, as in 'payload={\"action\":\"{$operation}\",\"id\":\"{$id}\",\"project\":\"{project_id}\"}'.";
constexpr const char* kTemplateHint = "Write column names in braces, as in \"task:{id}\", and literal braces as \"{{\" and \"}}\".";
constexpr const char* kVariables =
    "Placeholders that begin with \"$\" are {$operation}, {$table}, {$schema}, {$resource}, {$id}, {$batch_id}, {$timestamp}, "
    "{$epoch} and {$lsn}.";

TEST(PayloadProgram, RefusesAndExplains) {
  const struct {
    std::string payload;
    const char* sqlstate;
    std::string message;
    std::string detail;
    std::string hint;
  } cases[] = {
      {"", "42601", "invalid JSON in argument \"payload\"", "A value is missing at character 1.", kExample},
      {"{\"é\":1,}", "42601", "invalid JSON in argument \"payload\"", "The name of a member is missing at character 8.", kExample},
      {"[]", "22023", "argument \"payload\" is not a JSON object", "", kExample},
      {"\"{id}\"", "22023", "argument \"payload\" is not a JSON object", "", kExample},
      {"{\"a\":\"{nope\"}", "42601", "invalid template in argument \"payload\": \"{nope\"",
       "There is an unterminated placeholder at character 1.", kTemplateHint},
      {"{\"a\":[{\"b\":\"x}\"}]}", "42601", "invalid template in argument \"payload\": \"x}\"",
       "There is a closing brace without an opening one at character 2.", kTemplateHint},
      {"{\"a\":\"{id::int}\"}", "42601", "invalid template in argument \"payload\": \"{id::int}\"",
       "There is an unknown type at character 6.", "Write \"::text\" or \"::number\"; without either the value takes its column's JSON type."},
      {"{\"a\":\"{$nope}\"}", "22023", "unknown placeholder \"{$nope}\" in argument \"payload\"", "", kVariables},
      {"{\"a\":\"x{$ID} y\"}", "22023", "unknown placeholder \"{$ID}\" in argument \"payload\"", "", kVariables},
      {"{\"a\":\"{nope}\"}", "42703", "column \"nope\" of table \"tas\"ks\" does not exist", "Argument \"payload\" of the trigger names it.",
       "Columns of the table are \"id\", \"title\", \"price\", \"done\", \"extra\", \"$id\"."},
      {"{\"a\":\"{title.x}\"}", "42703", "path \"title.x\" from table \"tas\"ks\" does not exist",
       "Argument \"payload\" of the trigger names it.", "Each name but the last must be a column with a foreign key."},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.payload);
    const Result<Rule> result = attempt(c.payload);
    ASSERT_FALSE(result.ok());
    EXPECT_STREQ(result.error().sqlstate, c.sqlstate);
    EXPECT_EQ(result.error().message, c.message);
    EXPECT_EQ(result.error().detail, c.detail);
    EXPECT_EQ(result.error().hint, c.hint);
  }
}

TEST(PayloadProgram, RefusesOtherArgumentsOfTheMessage) {
  for (const char* other : {"format=record", "format=resource", "fields=id"}) {
    for (const bool first : {true, false}) {
      std::vector<std::string> arguments{"payload={}"};
      arguments.insert(first ? arguments.begin() : arguments.end(), other);
      const Result<RuleSpec> spec = parse_rule(arguments);
      ASSERT_FALSE(spec.ok()) << other;
      EXPECT_EQ(spec.error().message,
                "arguments \"payload\" and \"" + std::string(other, 6) + "\" exclude each other");
      EXPECT_EQ(spec.error().hint, "A payload says all that is in a message: put the columns into it.");
    }
  }
  EXPECT_FALSE(parse_rule({"payload={}", "payload={}"}).ok());
}

// A payload whose fixed part has `size` bytes.
std::string payload_of(std::size_t size) { return "{\"a\":\"" + std::string(size - 8, 'x') + "\"}"; }

TEST(PayloadProgram, RefusesAFixedPartThatIsTooLong) {
  EXPECT_EQ(rendered(payload_of(4000)).size(), 4000u);
  const Result<Rule> refused = attempt(payload_of(4001));
  ASSERT_FALSE(refused.ok());
  EXPECT_STREQ(refused.error().sqlstate, "54000");
  EXPECT_EQ(refused.error().message, "argument \"payload\" is too long");
  EXPECT_EQ(refused.error().detail, "Without the values of columns its messages have up to 4001 bytes.");
  EXPECT_EQ(refused.error().hint,
            "They may have 4000: a message must fit NOTIFY's 7999 bytes, and characters beyond ASCII may take 6 or 12 bytes.");
  std::string umlauts;
  for (int i = 0; i < 700; ++i) umlauts += "ä";
  EXPECT_FALSE(attempt("{\"a\":\"" + umlauts + "\"}").ok()) << "as escapes they have 4200 bytes";
  std::string variables;
  for (int i = 0; i < 250; ++i) variables += "{$lsn}";
  EXPECT_FALSE(attempt("{\"a\":\"" + variables + "\"}").ok()) << "each may have 17 bytes";
  EXPECT_FALSE(attempt("{\"a\":\"{$table}" + std::string(3990, 'x') + "\"}").ok()) << "the name counts";
  EXPECT_FALSE(attempt("{\"a\":\"{title}" + std::string(3995, 'x') + "\"}").ok()) << "what may be left out counts too";
}

TEST(PayloadProgram, AlwaysFitsWithoutItsColumns) {
  const std::string variables = "{$operation}{$batch_id}{$timestamp}{$epoch}{$lsn}";
  std::string all;
  while (attempt("{\"a\":\"" + all + variables + "\",\"t\":\"{title}\",\"id\":\"{$id}\"}").ok()) all += variables;
  const Rule rule = bound("{\"a\":\"" + all + "\",\"t\":\"{title}\",\"id\":\"{$id}\"}");
  Message longest = message(rule, {}, std::string(9000, 'i'), Operation::truncate);
  longest.origin = {~std::uint64_t{0}, std::numeric_limits<std::int64_t>::min()};
  const std::string text = render_payload(longest, true, ~std::uint64_t{0});
  EXPECT_LE(text.size(), kLongestFixedPayload);
  EXPECT_EQ(text.substr(0, 14), "{\"a\":\"TRUNCATE");
}

TEST(PayloadProgram, OfARuleWithAProblemIsTheRecordShape) {
  std::string problem;
  Result<Rule> rule = attempt(payload_of(4001), {}, &problem);
  ASSERT_TRUE(rule.ok());
  EXPECT_EQ(problem, "argument \"payload\" is too long");
  EXPECT_EQ(rule.value().format, Format::record);
  EXPECT_EQ(values_of(rule.value(), {}), "");
  problem.clear();
  rule = attempt("{\"op\":\"{$operation}\",\"gone\":\"{nope}\",\"title\":\"{title::text}\"}", {}, &problem);
  ASSERT_TRUE(rule.ok());
  EXPECT_EQ(problem, "column \"nope\" of table \"tas\"ks\" does not exist");
  EXPECT_EQ(render_payload(message(rule.value()), false), "{\"op\":\"UPDATE\",\"title\":\"line\\n\\\"two\\\"\"}")
      << "the column that is gone is not known";
}

constexpr const char* kPlain =
    "{\"table\":\"tasks\",\"operation\":\"UPDATE\",\"record_id\":\"7\",\"timestamp\":1767323045.678901,"
    "\"batch_id\":\"9007199254740993\"}";

Message of_program(std::string program, std::string fields = "") {
  Message made;
  made.shape.format = Format::custom;
  made.shape.name = "tasks";
  made.shape.payload = std::move(program);
  made.id = "7";
  made.fields = std::move(fields);
  made.origin = {9007199254740993, kMoment};
  return made;
}

std::string member(const std::string& parts) {
  std::string program;
  put_bytes(program, parts);
  return program;
}

TEST(PayloadProgram, GivesTheRecordShapeWhenItIsDamaged) {
  const std::string literal("\0\5\"a\":1", 7);
  EXPECT_EQ(render_payload(of_program(member(literal)), false), "{\"a\":1}");
  const std::string damaged[] = {
      std::string(1, '\x05'),                              // a member beyond the end
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10),  // by far
      member(""),                                          // an empty member
      member(literal) + std::string(1, '\x7f'),            // a good one first
      member(std::string("\0\x06\"a\":1", 7)),             // a literal beyond its member
      member("\x05"),                                      // a part without its number
      member(std::string("\5\0", 2)),                      // a part that there is not
      member("\xff\x01"),
      member("\2\6"),                                      // a variable that there is not
      member("\4\x7f"),
  };
  for (const std::string& program : damaged) {
    EXPECT_EQ(render_payload(of_program(program), false), kPlain);
    EXPECT_EQ(render_payload(of_program(program, "\"a\":1"), true), kPlain) << "its values are no fields";
  }
  EXPECT_EQ(render_payload(of_program(member(literal), "\x7fxx"), false), kPlain) << "damaged values";
  EXPECT_EQ(render_payload(of_program(member(literal), "\xff"), false), kPlain);
  EXPECT_EQ(render_payload(of_program(member(literal) + member("\1\1"), "\2x"), false), "{\"a\":1}") << "no such value";
  EXPECT_EQ(render_payload(of_program(member(std::string("\0\x88\x47", 3) + std::string(9096, 'x'))), false), kPlain) << "too long";
}

TEST(PayloadProgram, DoesNotGrowWithoutBoundWhenItIsDamaged) {
  std::string fields;
  put_bytes(fields, std::string(1 << 20, 'v'));
  fields[0] = static_cast<char>(fields[0] + 1);  // its size plus one
  std::string parts;
  for (int i = 0; i < 100000; ++i) parts += std::string("\1\0", 2);
  EXPECT_EQ(render_payload(of_program(member(parts) + member(std::string("\0\5\"a\":1", 7)), fields), false), "{\"a\":1}");
}

// In an exact copy, so that the sanitizer sees the first byte beyond.
void render_exactly(const std::string& program, const std::string& fields) {
  Message made = of_program("", "");
  made.shape.payload.assign(program.data(), program.size());
  made.shape.payload.shrink_to_fit();
  made.fields.assign(fields.data(), fields.size());
  made.fields.shrink_to_fit();
  for (const bool ascii_only : {false, true}) {
    const std::string text = render_payload(made, ascii_only, kLsn);
    ASSERT_LE(text.size(), kPayloadLimit);
    ASSERT_GE(text.size(), 2u);
    ASSERT_EQ(text.front(), '{');
    ASSERT_EQ(text.back(), '}');
  }
}

TEST(PayloadProgram, SurvivesTruncationChangedBytesAndNoise) {
  const Rule rule = bound("{\"op\":\"{$operation}\",\"a\":[\"{title}\",\"{$id}\"],\"b\":\"{id} {done} {$lsn}\",\"t\":\"{$epoch}\",\"x\":{\"y\":\"{extra}\"}}");
  const Message whole = message(rule);
  const std::string& program = whole.shape.payload;
  for (std::size_t size = 0; size < program.size(); ++size) render_exactly(program.substr(0, size), whole.fields);
  for (std::size_t size = 0; size < whole.fields.size(); ++size) render_exactly(program, whole.fields.substr(0, size));
  for (std::size_t place = 0; place < program.size(); ++place) {
    for (int value = 0; value < 256; value += 5) {
      std::string changed = program;
      changed[place] = static_cast<char>(value);
      render_exactly(changed, whole.fields);
    }
  }
  std::mt19937 random(11);
  const auto noise = [&random](std::size_t most) {
    std::string bytes(random() % most, '\0');
    // Small numbers are what gets far.
    for (char& byte : bytes) byte = static_cast<char>(random() % 2 == 0 ? random() % 8 : random());
    return bytes;
  };
  for (int i = 0; i < 20000; ++i) render_exactly(noise(200), noise(60));
}

}  // namespace
}  // namespace cache_invalidate::core
