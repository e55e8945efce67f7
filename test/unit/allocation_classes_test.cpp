// Memory that runs out, continued: in what the worker keeps books with, and in what rules, batches and messages are made by.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "allocation_failure.hpp"
#include "batch_text.hpp"
#include "core/backlog.hpp"
#include "core/commit_times.hpp"
#include "core/error_folds.hpp"
#include "core/expand.hpp"
#include "core/key_families.hpp"
#include "core/latency.hpp"
#include "core/open_positions.hpp"
#include "core/payload.hpp"
#include "core/pending_patterns.hpp"
#include "core/rule.hpp"
#include "core/second_deletes.hpp"
#include "core/watermark.hpp"

namespace cache_invalidate::core {
namespace {

std::string long_text(std::uint64_t number) { return "a text that needs memory of its own " + std::to_string(number); }

// Runs it with memory, and then with each allocation failing in turn: the same comes of it.
template <typename Make>
void expect_same(const char* what, Make make) {
  const std::string expected = make();
  std::string found;
  int failures = 0;
  ASSERT_TRUE(retried([&] { found = make(); }, [&] { ++failures; })) << what;
  EXPECT_EQ(found, expected) << what;
  EXPECT_GT(failures, 0) << what;
}

TEST(OutOfMemory, LosesNoErrorAndHoldsNoPositionInVain) {
  ErrorFolds healthy;
  ErrorFolds starved;
  int failures = 0;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    const std::string message = long_text(i % 100);
    const std::string context = long_text(i % 7);
    const auto time = static_cast<std::int64_t>(i * 1000);
    const ErrorRecord error = {"t", "INSERT", message, context};
    ASSERT_TRUE(retried([&] { starved.add(error, time, i); }, [&] { ++failures; }));
    healthy.add(error, time, i);
    ASSERT_EQ(starved.oldest(1000), healthy.oldest(1000)) << i;
    if (i % 50 != 0) continue;
    std::vector<ErrorFold*> due;
    ASSERT_TRUE(retried([&] { due = starved.due(true, 1000); }, [&] { ++failures; }));
    const std::vector<ErrorFold*> expected = healthy.due(true, 1000);
    ASSERT_EQ(due.size(), expected.size());
    for (std::size_t n = 0; n < due.size(); ++n) {
      ASSERT_EQ(due[n]->message, expected[n]->message);
      ASSERT_EQ(due[n]->count, expected[n]->count);
      starved.note_written(*due[n], static_cast<std::int64_t>(n + 1));
      healthy.note_written(*expected[n], static_cast<std::int64_t>(n + 1));
    }
    EXPECT_EQ(starved.oldest(1000), 1000u) << "nothing is held";
    const std::int64_t later = i % 100 == 0 ? ErrorFolds::kLifetime * 2 : time;
    ASSERT_TRUE(retried([&] { starved.settle(later); }, [&] { ++failures; }));
    healthy.settle(later);
  }
  EXPECT_GT(failures, 100);
}

TEST(OutOfMemory, DeletesEachKeyASecondTime) {
  SecondDeletes healthy;
  SecondDeletes starved;
  int failures = 0;
  for (std::uint64_t round = 1; round <= 200; ++round) {
    const auto due = static_cast<std::int64_t>(round * 100);
    const auto step = [&](SecondDeletes& second, const auto& run) {
      run([&] { second.begin(round, due, 50); });
      for (std::uint64_t key = 0; key < 5; ++key) run([&] { second.add(long_text(round * 3 + key)); });
      run([&] { second.end(20); });
    };
    step(healthy, [](const auto& operation) { operation(); });
    step(starved, [&](const auto& operation) { ASSERT_TRUE(retried(operation, [&] { ++failures; })); });
    ASSERT_EQ(starved.size(), healthy.size()) << round;
    ASSERT_EQ(starved.due(), healthy.due()) << round;
    ASSERT_EQ(starved.settled(round), healthy.settled(round)) << round;
    if (round % 10 != 0) continue;
    const std::int64_t now = healthy.due();
    starved.depart(now);
    healthy.depart(now);
    ASSERT_EQ(starved.in_flight(), healthy.in_flight()) << round;
    for (std::uint32_t i = 0; i < healthy.in_flight(); ++i) ASSERT_EQ(starved.key(i), healthy.key(i)) << round;
    starved.arrived();
    healthy.arrived();
  }
  while (!starved.empty()) {
    starved.depart(starved.due());
    starved.arrived();
  }
  EXPECT_EQ(starved.size(), 0u);
  EXPECT_GT(failures, 100);
}

TEST(OutOfMemory, KnowsTheSmallestOpenPosition) {
  OpenPositions starved;
  std::deque<std::uint64_t> model;
  int failures = 0;
  for (std::uint64_t i = 1; i <= 20000; ++i) {
    const std::uint64_t position = i * 7919 % 1000 + i / 10;
    ASSERT_TRUE(retried([&] { starved.push(position); }, [&] {
      ++failures;
      EXPECT_EQ(starved.size(), model.size());
      const std::uint64_t smallest = model.empty() ? OpenPositions::kNone : *std::min_element(model.begin(), model.end());
      EXPECT_EQ(starved.smallest(), smallest);
    }));
    model.push_back(position);
    if (i % 3 != 0 || i % 1000 < 500) {
      starved.pop();
      model.pop_front();
    }
    const std::uint64_t smallest = model.empty() ? OpenPositions::kNone : *std::min_element(model.begin(), model.end());
    ASSERT_EQ(starved.smallest(), smallest);
  }
  EXPECT_GT(failures, 10);
}

TEST(OutOfMemory, NeverTellsALagTooShort) {
  CommitTimes healthy;
  CommitTimes starved;
  int failures = 0;
  for (std::uint64_t i = 40; i <= 20000; ++i) {
    // They rise for a while, and then an older one comes, so that some behind it say nothing any more.
    const auto time = static_cast<std::int64_t>(i % 5 == 0 ? i - i * 7919 % 40 : i);
    const auto compare = [&] {
      for (const std::uint64_t position : {std::uint64_t{0}, i / 2, i - 3, i - 1, i}) {
        EXPECT_EQ(starved.oldest_behind(position, 0), healthy.oldest_behind(position, 0)) << i;
      }
    };
    ASSERT_TRUE(retried([&] { starved.add(i, time); }, [&] {
      ++failures;
      compare();
    }));
    healthy.add(i, time);
    compare();
    if (i % 5000 != 0) continue;
    starved.forget(i / 2);
    healthy.forget(i / 2);
  }
  EXPECT_GT(failures, 10);
}

TEST(OutOfMemory, LosesNoPattern) {
  PendingPatterns patterns;
  std::vector<std::string> owed;
  int failures = 0;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    owed.push_back(long_text(i) + "*");
    const std::uint64_t acknowledged = patterns.acknowledged();
    ASSERT_TRUE(retried([&] { patterns.add(owed.back(), 0, i); }, [&] {
      ++failures;
      EXPECT_LE(patterns.acknowledged(), acknowledged);
    }));
    if (i % 10 == 0 && patterns.in_flight() == 0) {
      ASSERT_TRUE(retried([&] { patterns.depart(5); }, [&] { ++failures; }));
      ASSERT_EQ(patterns.in_flight() + patterns.collecting(), owed.size());
    }
    if (i % 35 == 0) {
      ASSERT_TRUE(retried([&] { patterns.put_back(); }, [&] { ++failures; }));
      ASSERT_EQ(patterns.collecting(), owed.size());
    }
  }
  if (patterns.in_flight() > 0) patterns.put_back();
  std::vector<std::string> found;
  patterns.for_each_collected([&](const std::string& glob, std::uint32_t) { found.push_back(glob); });
  std::sort(found.begin(), found.end());
  std::sort(owed.begin(), owed.end());
  EXPECT_EQ(found, owed);
  EXPECT_GT(failures, 10);
}

TEST(OutOfMemory, CountsEachLatencyOnce) {
  LatencyWatch watch;
  Histogram histogram;
  int failures = 0;
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    ASSERT_TRUE(retried([&] { watch.begin(i, 0); }, [&] { ++failures; }));
  }
  watch.arrived(5000, 10, histogram);
  EXPECT_EQ(histogram.count(), 5000u);
  EXPECT_GT(failures, 10);
}

TEST(OutOfMemory, KeepsTheFamiliesOfKeys) {
  KeyFamilies healthy(8);
  KeyFamilies starved(8);
  int failures = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::string key = "a part that needs memory of its own " + std::to_string(i % 20) + ":" + long_text(i % 5) + ":" + std::to_string(i);
    std::string found;
    ASSERT_TRUE(retried([&] { found = starved.of_key(key); }, [&] { ++failures; }));
    ASSERT_EQ(found, healthy.of_key(key));
  }
  EXPECT_GT(failures, 100);
}

std::string write_batch(BatchWriter& writer, std::uint64_t xid) {
  writer.begin({xid, 2}, test_vocabulary());
  for (std::uint32_t i = 0; i < 30; ++i) {
    writer.key(i % 4, long_text(i));
    writer.pattern(i % 4, long_text(i) + "*");
    writer.message(i % 4, Operation::update, std::to_string(i), "\"a\":1");
  }
  writer.error(encode_error({"t", "INSERT", "m", "c"}));
  writer.probe("p");
  std::string all;
  for (const std::string& line : batch_text(writer)) all += line + "\n";
  return all;
}

TEST(OutOfMemory, LeavesABatchWriterAsGoodAsNew) {
  // The same writer: what it began in vain is in no batch behind it.
  BatchWriter writer;
  BatchWriter other;
  const std::string expected = write_batch(other, 1);
  int failures = 0;
  std::string found;
  ASSERT_TRUE(retried([&] { found = write_batch(writer, 1); }, [&] { ++failures; }));
  EXPECT_EQ(found, expected);
  EXPECT_GT(failures, 10);
  EXPECT_EQ(write_batch(writer, 7), write_batch(other, 7));
}

TEST(OutOfMemory, ReadsAWatermarkAllTheSame) {
  Watermark mark;
  mark.sequence = 7;
  for (std::uint32_t i = 0; i < 5; ++i) mark.entries.push_back({i, {}, true, long_text(i)});
  mark.entries.back().snapshot.in_progress = {1, 2, 3};
  expect_same("watermark", [&] {
    const Result<Watermark> read = Watermark::decode(mark.encode());
    return read.ok() && read.value().equals(mark) ? read.value().encode() : std::string();
  });
}

TEST(OutOfMemory, MakesTheSameOfArguments) {
  TableFacts table;
  table.schema = "public";
  table.table = "tasks";
  table.columns = {{"id", 1, JsonKind::number}, {"title", 2, JsonKind::text}};
  table.primary_key = {"id"};
  const std::vector<std::string> arguments = {"resource=a resource with a long name", "key=tasks:a long template:{id}:{title}",
                                              "pattern=tasks:*:{title}", "payload={\"a\": \"{id}\", \"b\": [1, \"{title}\"], \"t\": \"{$timestamp}\"}",
                                              "channel=a channel with a long name"};
  expect_same("rule", [&] {
    const Result<RuleSpec> spec = parse_rule(arguments);
    if (!spec.ok()) return spec.error().message;
    const Result<Rule> rule = bind_rule(spec.value(), table);
    if (!rule.ok()) return rule.error().message;
    const std::string title = long_text(1);
    Value values[2];
    for (Value& value : values) value = {title.data(), static_cast<std::uint32_t>(title.size()), Value::State::known};
    std::string key;
    EXPECT_EQ(expand(rule.value().keys.front(), values, key), Expansion::exact);
    std::string glob;
    expand_glob(rule.value().patterns.front(), values, glob);
    return rule.value().name + key + glob + widen(spec.value().keys.front(), false) + rule.value().payload.program;
  });
  expect_same("a mistake", [] {
    const Result<RuleSpec> spec = parse_rule({"key=a template without its end {id"});
    return spec.ok() ? std::string() : spec.error().message + spec.error().detail + spec.error().hint;
  });
}

TEST(OutOfMemory, MakesTheSameOfMessages) {
  Message message;
  message.shape.name = "tasks";
  message.id = "1";
  message.fields = "\"f\":\"" + std::string(8000, 'x') + "\"";
  message.origin = {12345, 1767323045678901};
  for (const Format format : {Format::record, Format::resource, Format::custom}) {
    message.shape.format = format;
    expect_same("message", [&] { return render_payload(message, true, 7); });
  }
  message.fields.clear();
  message.operation = Operation::reset;
  message.id = "because";
  expect_same("reset", [&] { return render_payload(message, true, 7); });
}

}  // namespace
}  // namespace cache_invalidate::core
