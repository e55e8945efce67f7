// The batch format: what is written is read again, in chunks of bounded size, and damage is only ever
// reported.
#include "core/batch.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "batch_text.hpp"

namespace cache_invalidate::core {
namespace {

using Lines = std::vector<std::string>;
constexpr std::size_t kChunkLimit = 1900;

Shape shape(Format format, bool has_channel, std::string channel, std::string name) {
  Shape made;
  made.format = format;
  made.has_channel = has_channel;
  made.channel = std::move(channel);
  made.name = std::move(name);
  return made;
}

TEST(Batch, ReadsBackEveryKindOfItem) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{7}, "k:*"}, {{1, 0xFFFFFFFF}, std::string("\0\xff*", 3)}, {{}, "*"}};
  vocabulary.shapes = {shape(Format::record, false, "", "tasks"), shape(Format::resource, true, "", ""),
                       shape(Format::resource, true, "chan", std::string("n\0m", 3))};
  vocabulary.shapes[1].servers = {3, 0xFFFFFFFF};
  BatchWriter writer;
  const BatchHeader header{0xFFFFFFFFFFFFFFFF, -5};
  writer.begin(header, vocabulary);
  writer.key(1, "k1");
  writer.key(0, std::string("\0\xff", 2));
  writer.key(1, "");
  writer.key(2, "left out: it goes nowhere");
  writer.pattern(0, "k:*");
  writer.pattern(2, "left out as well");
  writer.message(2, Operation::insert, "1", "\"a\":1");
  writer.message(0, Operation::update, "", "");
  writer.message(1, Operation::remove, "2", "");
  writer.message(2, Operation::test, "3", "");
  writer.message(0, Operation::truncate, "", "", false);
  writer.message(1, Operation::reset, "why", "");
  writer.error(encode_error({"t", "INSERT", "message", ""}));
  writer.probe("probe");
  const std::vector<std::string_view> chunks = chunks_of(writer);
  ASSERT_EQ(chunks.size(), 1u);

  Result<BatchReader> opened = BatchReader::open(chunks[0]);
  ASSERT_TRUE(opened.ok());
  BatchReader& reader = opened.value();
  EXPECT_EQ(reader.header().xid, header.xid);
  EXPECT_EQ(reader.header().time, header.time);
  EXPECT_FALSE(reader.header().part);
  BatchReader::Item item;
  const auto expect_key = [&](const Scope& scope, std::string_view bytes) {
    ASSERT_TRUE(reader.next(item));
    ASSERT_EQ(item.kind, BatchReader::Kind::key);
    EXPECT_EQ(*item.scope, scope);
    EXPECT_EQ(item.bytes, bytes);
  };
  expect_key(vocabulary.scopes[1], "k1");
  expect_key(vocabulary.scopes[0], std::string("\0\xff", 2));
  expect_key(vocabulary.scopes[1], "");
  ASSERT_TRUE(reader.next(item));
  EXPECT_EQ(item_text(item), "pattern 7 k:*");
  const auto expect_message = [&](std::size_t of, Operation operation, const char* id, const char* fields, bool exact = true) {
    ASSERT_TRUE(reader.next(item));
    ASSERT_EQ(item.kind, BatchReader::Kind::message);
    EXPECT_TRUE(*item.shape == vocabulary.shapes[of]);
    EXPECT_EQ(item.operation, operation);
    EXPECT_EQ(item.exact, exact);
    EXPECT_EQ(item.id, id);
    EXPECT_EQ(item.fields, fields);
  };
  expect_message(2, Operation::insert, "1", "\"a\":1");
  expect_message(0, Operation::update, "", "");
  expect_message(1, Operation::remove, "2", "");
  expect_message(2, Operation::test, "3", "");
  expect_message(0, Operation::truncate, "", "", false);
  expect_message(1, Operation::reset, "why", "");
  ASSERT_TRUE(reader.next(item));
  EXPECT_EQ(item_text(item), "error t INSERT message ");
  ASSERT_TRUE(reader.next(item));
  EXPECT_EQ(item_text(item), "probe probe");
  EXPECT_FALSE(reader.next(item));
  EXPECT_FALSE(reader.damaged());
}

TEST(Batch, NamesEveryServerHoweverMany) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{}, "*"}};
  vocabulary.shapes = {shape(Format::record, false, "", "tasks")};
  for (std::uint32_t server = 0; server < 1000; ++server) vocabulary.scopes[0].servers.push_back(20000 + server);
  vocabulary.shapes[0].servers = vocabulary.scopes[0].servers;
  BatchWriter writer;
  writer.begin({1, 2}, vocabulary);
  writer.key(0, "k");
  writer.message(0, Operation::update, "7", "");
  std::vector<std::uint32_t> seen;
  for (const std::string_view chunk : chunks_of(writer)) {
    Result<BatchReader> opened = BatchReader::open(chunk);
    ASSERT_TRUE(opened.ok());
    BatchReader::Item item;
    while (opened.value().next(item)) {
      EXPECT_EQ(item.kind == BatchReader::Kind::key ? item.scope->servers : item.shape->servers, vocabulary.scopes[0].servers);
      seen.push_back(static_cast<std::uint32_t>(item.kind));
    }
    EXPECT_FALSE(opened.value().damaged());
  }
  EXPECT_EQ(seen.size(), 2u);
}

Shape custom_shape(std::string program) {
  Shape made = shape(Format::custom, true, "c", "tasks");
  made.payload = std::move(program);
  return made;
}

TEST(Batch, CarriesTheProgramOfACustomFormat) {
  Vocabulary vocabulary;
  vocabulary.shapes = {custom_shape(std::string("\0p\xff", 3)), custom_shape(""), shape(Format::record, false, "", "tasks")};
  for (const bool part : {false, true}) {
    BatchWriter writer;
    writer.begin({1, 2, part}, vocabulary);
    for (const std::uint32_t of : {0U, 1U, 2U, 0U}) writer.message(of, Operation::update, "7", "values");
    const std::vector<std::string_view> chunks = chunks_of(writer);
    ASSERT_EQ(chunks.size(), 1u);
    Result<BatchReader> opened = BatchReader::open(chunks[0]);
    ASSERT_TRUE(opened.ok());
    BatchReader::Item item;
    for (const std::uint32_t of : {0U, 1U, 2U, 0U}) {
      ASSERT_TRUE(opened.value().next(item));
      EXPECT_TRUE(*item.shape == vocabulary.shapes[of]);
      EXPECT_EQ(item.shape_number, part ? of : 0U);
      EXPECT_EQ(item.fields, "values");
    }
    EXPECT_FALSE(opened.value().next(item));
    EXPECT_FALSE(opened.value().damaged());
  }
}

TEST(Batch, DoesNotRepeatALongProgramForEachMessage) {
  Vocabulary vocabulary;
  vocabulary.shapes = {custom_shape(std::string(4000, 'p'))};
  BatchWriter writer;
  writer.begin({1, 2}, vocabulary);
  Lines expected;
  for (int i = 0; i < 1000; ++i) {
    writer.message(0, Operation::update, std::to_string(i), std::string(90, 'v'));
    expected.push_back("message tasks UPDATE " + std::to_string(i) + " " + std::string(90, 'v'));
  }
  EXPECT_EQ(batch_text(writer), expected);
  EXPECT_LT(writer.bytes().size(), 1000u * 100 + 5 * 4000);
}

TEST(Batch, DoesNotRepeatALongGlobForEachKey) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{1}, std::string(4000, 'g')}};
  BatchWriter writer;
  writer.begin({1, 2}, vocabulary);
  Lines expected;
  for (int i = 0; i < 1000; ++i) {
    writer.key(0, std::to_string(i) + std::string(90, 'k'));
    expected.push_back("key 1 " + std::to_string(i) + std::string(90, 'k'));
  }
  EXPECT_EQ(batch_text(writer), expected);
  EXPECT_LT(writer.bytes().size(), 1000u * 100 + 5 * 4000);
}

TEST(Batch, IsEmptyWithoutItems) {
  BatchWriter writer;
  writer.begin({1, 2}, test_vocabulary());
  writer.key(4, "goes nowhere");
  EXPECT_TRUE(writer.chunk_ends().empty());
  EXPECT_TRUE(writer.bytes().empty());
}

TEST(Batch, OfSeveralPartsNamesTheWritersShapes) {
  Vocabulary vocabulary;
  vocabulary.shapes.resize(300);  // all alike
  BatchWriter writer;
  writer.begin({1, 2, true}, vocabulary);
  for (const std::uint32_t shape : {5u, 299u, 5u}) writer.message(shape, Operation::update, "1", "");
  const std::vector<std::string_view> chunks = chunks_of(writer);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_TRUE(is_batch(chunks[0]));
  BatchReader reader = BatchReader::open(chunks[0]).take();
  EXPECT_TRUE(reader.header().part);
  BatchReader::Item item;
  for (const std::uint32_t shape : {5u, 299u, 5u}) {
    ASSERT_TRUE(reader.next(item));
    EXPECT_EQ(item.shape_number, shape);
  }
  EXPECT_FALSE(reader.next(item));
  EXPECT_FALSE(reader.damaged());
}

// The last part says when the transaction began to commit.
TEST(Batch, IsThereWithoutItemsWhenItIsAPart) {
  BatchWriter writer;
  writer.begin({1, 2, true}, test_vocabulary());
  writer.key(4, "goes nowhere");
  ASSERT_EQ(writer.chunk_ends().size(), 1u);
  EXPECT_EQ(writer.chunk_ends().size(), 1u);
  BatchReader reader = BatchReader::open(writer.bytes()).take();
  EXPECT_EQ(reader.header().time, 2);
  EXPECT_TRUE(reader.header().part);
  BatchReader::Item item;
  EXPECT_FALSE(reader.next(item));
  EXPECT_FALSE(reader.damaged());
  writer.begin({1, 2, true}, test_vocabulary());
  writer.key(0, "k");
  EXPECT_EQ(writer.chunk_ends().size(), 1u) << "with items it needs no other";
}

TEST(Batch, IsToldFromOtherRows) {
  EXPECT_TRUE(is_batch("\x01"));
  EXPECT_TRUE(is_batch("\x03"));
  EXPECT_FALSE(is_batch("\x02"));
  EXPECT_FALSE(is_batch(""));
}

TEST(Batch, BeginsAnewEachTime) {
  BatchWriter writer;
  for (int i = 0; i < 3; ++i) {
    writer.begin({1, 2}, test_vocabulary());
    writer.key(0, "k" + std::to_string(i));
    EXPECT_EQ(writer.chunk_ends().size(), 1u);
    EXPECT_EQ(writer.chunk_ends().size(), 1u) << "asking twice changes nothing";
    EXPECT_EQ(batch_text(writer), Lines{"key 1 k" + std::to_string(i)});
  }
}

TEST(Batch, ReadsBackOwnersBeyondTheShortForm) {
  Vocabulary vocabulary;
  for (std::uint32_t i = 0; i < 300; ++i) {
    vocabulary.scopes.push_back({{i, i + 1}, "k*"});
    vocabulary.shapes.push_back(shape(Format::record, i % 2 == 0, "c", std::to_string(i)));
  }
  BatchWriter writer;
  writer.begin({1, 2}, vocabulary);
  Lines expected;
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < 300; ++i) {
      writer.key(i, "k");
      writer.message(i, Operation::update, "1", "");
      expected.push_back("key " + std::to_string(i) + "," + std::to_string(i + 1) + " k");
      expected.push_back("message " + std::to_string(i) + " UPDATE 1 ");
    }
  }
  EXPECT_EQ(batch_text(writer), expected);
  EXPECT_GT(writer.chunk_ends().size(), 1u);
}

TEST(Batch, SplitsIntoChunksThatStandAlone) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{1}, std::string(300, 'g')}, {std::vector<std::uint32_t>(40, 0xFFFFFFFF), ""}};
  vocabulary.shapes = {shape(Format::record, true, std::string(63, 'c'), std::string(255, 'n'))};
  std::mt19937 random(3);
  BatchWriter writer;
  writer.begin({0xFFFFFFFFFFFFFFFF, 2}, vocabulary);
  Lines expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string text(random() % (random() % 50 == 0 ? 1500 : 60), 'x');
    switch (random() % 3) {
      case 0:
        writer.key(random() % 2, text + std::to_string(i));
        break;
      case 1:
        writer.message(0, Operation::update, std::to_string(i), text);
        break;
      default:
        writer.probe(text + std::to_string(i));
        break;
    }
    expected.push_back(std::to_string(i));
  }
  std::size_t items = 0;
  for (const std::string_view chunk : chunks_of(writer)) {
    EXPECT_LE(chunk.size(), kChunkLimit);
    Lines lines = chunk_text(chunk);
    for (const std::string& line : lines) {
      ASSERT_NE(line.find(expected[items]), std::string::npos);
      ++items;
    }
  }
  EXPECT_EQ(items, expected.size());
  EXPECT_GT(writer.chunk_ends().size(), 50u);
}

TEST(Batch, TakesAnItemThatIsLongerThanAChunk) {
  const std::string giant(1 << 20, 'g');
  BatchWriter writer;
  writer.begin({1, 2}, test_vocabulary());
  writer.key(0, "before");
  writer.key(0, giant);
  writer.message(0, Operation::update, "1", giant);
  writer.key(1, "behind");
  EXPECT_EQ(batch_text(writer),
            (Lines{"key 1 before", "key 1 " + giant, "message s0 UPDATE 1 " + giant, "key 2 behind"}));
  EXPECT_EQ(writer.chunk_ends().size(), 4u);
}

TEST(Batch, FramesChunksBehindTheirLengths) {
  BatchWriter writer;
  writer.begin({1, 2}, test_vocabulary());
  for (int i = 0; i < 1000; ++i) writer.key(0, "key:" + std::to_string(i));
  std::string framed = "what stood there";
  frame_chunks(framed, writer.bytes(), writer.chunk_ends());
  ByteReader reader(framed);
  Lines chunks;
  while (!reader.at_end()) chunks.emplace_back(reader.bytes());
  EXPECT_TRUE(reader.ok());
  std::vector<std::string_view> expected = chunks_of(writer);
  EXPECT_EQ(chunks, Lines(expected.begin(), expected.end()));
  frame_chunks(framed, "", {});
  EXPECT_EQ(framed, "");
}

TEST(Batch, RefusesOtherVersions) {
  for (const std::string& bytes :
       {std::string(), std::string("\x01"), std::string(20, '\0'), std::string(20, '\x02'),
        std::string(20, '\xff'), std::string("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12)}) {
    const Result<BatchReader> opened = BatchReader::open(bytes);
    ASSERT_FALSE(opened.ok());
    EXPECT_STREQ(opened.error().sqlstate, "XX001");
    EXPECT_EQ(opened.error().message, "journal row is not a batch of this version");
  }
}

std::string valid_chunk(bool part = false) {
  Vocabulary vocabulary;
  for (std::uint32_t i = 0; i < 20; ++i) vocabulary.scopes.push_back({{i, 100000 + i}, "key:*" + std::to_string(i)});
  vocabulary.shapes = {shape(Format::resource, true, "chan", "name"),
                       shape(Format::record, false, "", "other"), custom_shape("program")};
  vocabulary.shapes[2].servers = {100000, 100001};
  BatchWriter writer;
  writer.begin({1234567, 1700000000000000, part}, vocabulary);
  for (std::uint32_t i = 0; i < 20; ++i) writer.key(i, "key:" + std::to_string(i));
  writer.pattern(3, "pattern:*");
  writer.message(0, Operation::insert, "1", "\"a\":1");
  writer.message(1, Operation::remove, "2", "");
  writer.message(2, Operation::update, "3", std::string("\2x\0", 3));
  writer.error(encode_error({"tasks", "UPDATE", "message", "context"}));
  writer.probe("12345678");
  writer.chunk_ends();
  return writer.bytes();
}

// Reads to the end; what it finds may be wrong, but every view lies in the chunk.
void read_all(const std::string& bytes) {
  // An exact copy, so that the sanitizer sees the first byte beyond.
  const std::vector<char> copy(bytes.begin(), bytes.end());
  Result<BatchReader> opened = BatchReader::open({copy.data(), copy.size()});
  if (!opened.ok()) return;
  BatchReader::Item item;
  std::size_t items = 0;
  std::size_t read = 0;
  while (opened.value().next(item)) {
    read += item_text(item).size();
    ASSERT_LE(++items, copy.size());
  }
  EXPECT_GE(read, items);
}

TEST(Batch, SurvivesEveryTruncation) {
  const std::string chunk = valid_chunk();
  const Lines whole = chunk_text(chunk);
  ASSERT_EQ(whole.size(), 26u);
  for (std::size_t size = 0; size < chunk.size(); ++size) {
    const std::string cut = chunk.substr(0, size);
    read_all(cut);
    Lines lines = chunk_text(cut);
    if (!lines.empty() && (lines.back() == "unreadable" || lines.back() == "damaged")) lines.pop_back();
    ASSERT_LT(lines.size(), whole.size());
    for (std::size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(lines[i], whole[i]) << "cut at " << size;
  }
}

class BatchDamage : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(WholeAndPart, BatchDamage, testing::Bool());

TEST_P(BatchDamage, OfEveryByteAndAtRandomIsSurvived) {
  const std::string chunk = valid_chunk(GetParam());
  for (std::size_t place = 0; place < chunk.size(); ++place) {
    for (int value = 0; value < 256; value += 3) {
      std::string damaged = chunk;
      damaged[place] = static_cast<char>(value);
      read_all(damaged);
    }
  }
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = chunk;
    for (auto flips = random() % 8; flips > 0; --flips) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    if (random() % 4 == 0) damaged.append(random() % 20, static_cast<char>(random()));
    read_all(damaged);
  }
}

TEST(Batch, WritesAnIdThatEndsTheLastKeyOnce) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{1}, "k:*"}};
  vocabulary.shapes = {shape(Format::record, false, "", "t")};
  const std::string id = "0b3d6a1e-86cf-4b4e-9f60-0d2b9a8c7f11";
  const auto size_with = [&](const std::string& key, const std::string& said) {
    BatchWriter writer;
    writer.begin({1, 2}, vocabulary);
    if (!key.empty()) writer.key(0, key);
    writer.message(0, Operation::update, said, "\"a\":1", false);
    const std::vector<std::string_view> chunks = chunks_of(writer);
    EXPECT_EQ(chunks.size(), 1u);
    const Lines lines = chunk_text(chunks[0]);
    EXPECT_EQ(lines.back(), "message t UPDATE " + said + " \"a\":1");
    return chunks[0].size();
  };
  const std::size_t apart = size_with("k:" + id + "x", id) - 1;
  EXPECT_EQ(size_with("k:" + id, id), apart - id.size());
  EXPECT_EQ(size_with(id, id), apart - id.size() - 2);
  EXPECT_EQ(size_with("k", "k:k") - size_with("k", "k"), 3u);
  size_with("", id);
  size_with("k:" + std::string(1000, 'x'), std::string(1000, 'x'));
  size_with("k:" + std::string(1000, 'x'), "");
}

TEST(Batch, LooksForTheKeyInTheSameChunkOnly) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{1}, "k:*"}};
  vocabulary.shapes = {shape(Format::record, false, "", "t")};
  BatchWriter writer;
  writer.begin({1, 2}, vocabulary);
  writer.key(0, "k:7");
  writer.message(0, Operation::update, "8", std::string(3000, 'x'));
  writer.message(0, Operation::update, "7", "");
  const std::vector<std::string_view> chunks = chunks_of(writer);
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_EQ(chunk_text(chunks[2]), Lines{"message t UPDATE 7 "});
  writer.begin({1, 2}, vocabulary);
  writer.message(0, Operation::update, "7", "");
  EXPECT_EQ(chunk_text(chunks_of(writer)[0]), Lines{"message t UPDATE 7 "});
}

TEST(Batch, ForgetsWhatTheChunkBeforeDefined) {
  Vocabulary vocabulary;
  vocabulary.scopes = {{{1, 2}, "k:*"}, {{3}, ""}};
  Shape full = custom_shape("p");
  full.servers = {9};
  vocabulary.shapes = {full, shape(Format::record, false, "", "")};
  BatchWriter writer;
  writer.begin({1, 2, true}, vocabulary);
  writer.key(0, "k:7");
  writer.message(0, Operation::update, "7", "");
  const std::string first = writer.bytes();
  writer.begin({3, 4}, vocabulary);
  writer.key(1, "7");
  writer.message(1, Operation::update, "7", "");
  const std::string second = writer.bytes();
  BatchReader reader;
  BatchReader::Item item;
  ASSERT_TRUE(reader.begin(first));
  while (reader.next(item)) {
  }
  ASSERT_TRUE(reader.begin(second));
  ASSERT_TRUE(reader.next(item));
  EXPECT_EQ(*item.scope, vocabulary.scopes[1]);
  ASSERT_TRUE(reader.next(item));
  EXPECT_EQ(*item.shape, vocabulary.shapes[1]);
  EXPECT_EQ(item.id, "7");
  const std::string start = second.substr(0, 10);  // version, id, time
  for (const char* const undefined : {"\x30\x01k", "\x40\x01\x01k", "\x40\x21\x01"}) {
    ASSERT_TRUE(reader.begin(first));
    while (reader.next(item)) {
    }
    const std::string chunk = start + undefined;
    ASSERT_TRUE(reader.begin(chunk));
    EXPECT_FALSE(reader.next(item));
    EXPECT_TRUE(reader.damaged());
  }
  const std::string keyless = second.substr(0, second.find("\x30\x01""7")) + second.substr(second.find("\x30\x01""7") + 3);
  ASSERT_TRUE(reader.begin(first));
  while (reader.next(item)) {
  }
  ASSERT_TRUE(reader.begin(keyless));
  EXPECT_FALSE(reader.next(item));
  EXPECT_TRUE(reader.damaged());
}

TEST(Batch, RefusesReferencesToWhatWasNotDefined) {
  std::string start = valid_chunk().substr(0, 12);  // version, three bytes of id, time
  const std::string items[] = {std::string("\x30\x01k", 3),        std::string("\x3f\x05\x01k", 4),
                               std::string("\x40\x00\x00\x00", 4), std::string("\x00", 1),
                               std::string("\x70\x01k", 3),        std::string("\x80", 1),
                               std::string("\x40\x21\x00", 3),
                               std::string("\x10\xff\xff\x7f", 4)};
  for (const std::string& item : items) {
    EXPECT_EQ(chunk_text(start + item), Lines{"damaged"});
  }
}

}  // namespace
}  // namespace cache_invalidate::core
