// A transaction that is written in parts, against the same one that is not: random changes and savepoints, what is
// spilled goes through the batch format, its rows come in any order, and the queue says the same in the end.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "batch_text.hpp"
#include "core/change_set.hpp"
#include "core/message_queue.hpp"

namespace cache_invalidate::core {
namespace {

using Lines = std::vector<std::string>;

// Two tables whose messages look alike, and one whose ids are not exact.
constexpr std::uint32_t kShapes = 3;
constexpr std::uint32_t kInexactShape = 2;

const Vocabulary& vocabulary() {
  static const Vocabulary* made = [] {
    auto* v = new Vocabulary();
    v->shapes.resize(kShapes);
    for (Shape& shape : v->shapes) shape.name = "same";
    v->shapes[kInexactShape].name = "inexact";
    return v;
  }();
  return *made;
}

// A record that is gone, comes back and goes again within one part is not in that part: the fields of its DELETE are
// those of the first time.
std::string line(const Shape& shape, Operation operation, std::string_view id, std::string_view fields) {
  return shape.name + " " + std::string(operation_name(operation)) + " " + std::string(id) + " " +
         (operation == Operation::remove ? "" : std::string(fields));
}

class Transaction {
 public:
  Transaction(std::uint32_t seed, std::uint64_t xid, std::int64_t time) : random_(seed), xid_(xid), time_(time) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    while (level() > 1) release();
    write_part(changes_.innermost_start());
  }

  const Lines& rows() const { return rows_; }
  std::int64_t last_time() const { return time_; }
  // Of the set that never spilled.
  Lines expected() const {
    BatchWriter writer;
    writer.begin({xid_, time_}, vocabulary());
    whole_.write(writer, 0);
    Lines lines;
    for (const std::string_view chunk : chunks_of(writer)) {
      BatchReader reader = BatchReader::open(chunk).take();
      for (BatchReader::Item item; reader.next(item);) {
        lines.push_back(line(*item.shape, item.operation, item.id, item.fields));
      }
    }
    return lines;
  }

 private:
  struct Level {
    std::size_t rows;
    std::vector<bool> exists;
  };

  std::uint32_t pick(std::uint32_t below) { return random_() % below; }
  int level() const { return static_cast<int>(outer_.size()) + 1; }

  void step() {
    switch (pick(12)) {
      case 0:
        if (level() < 4) outer_.push_back({rows_.size(), exists_});
        break;
      case 1:
        if (level() > 1) release();
        break;
      case 2:
        if (level() > 1) rollback();
        break;
      case 3:
      case 4:
        spill();
        break;
      default:
        change();
        break;
    }
  }

  void change() {
    const std::uint32_t record = pick(static_cast<std::uint32_t>(exists_.size()));
    const std::uint32_t shape = record % kShapes;
    std::string id = std::to_string(record / kShapes);
    Operation operation = static_cast<Operation>(pick(3));
    bool exact = shape != kInexactShape;
    if (pick(40) == 0) {
      id.clear();
      exact = false;
      operation = pick(2) == 0 ? Operation::truncate : Operation::update;
    } else if (exact) {
      operation = !exists_[record] ? Operation::insert : pick(2) == 0 ? Operation::update : Operation::remove;
      exists_[record] = operation != Operation::remove;
    }
    // Unlike any other, or messages of two transactions would fold.
    const std::string fields = "\"" + std::to_string(xid_) + "\":" + std::to_string(++made_);
    for (ChangeSet* set : {&changes_, &whole_}) set->add_change(shape, id, operation, fields, level(), {exact});
  }

  void release() {
    for (ChangeSet* set : {&changes_, &whole_}) set->release(level());
    outer_.pop_back();
  }
  void rollback() {
    for (ChangeSet* set : {&changes_, &whole_}) set->rollback(level());
    rows_.resize(outer_.back().rows);
    exists_ = outer_.back().exists;
    outer_.pop_back();
  }

  void spill() {
    const std::uint32_t from = changes_.start_of(level());
    if (from == changes_.size()) return;
    write_part(from);
    changes_.forget(from);
  }
  void write_part(std::uint32_t from) {
    BatchWriter writer;
    writer.begin({xid_, ++time_, true}, vocabulary());
    changes_.write(writer, from);
    for (const std::string_view chunk : chunks_of(writer)) rows_.emplace_back(chunk);
  }

  std::mt19937 random_;
  std::uint64_t xid_;
  std::int64_t time_;
  ChangeSet changes_;
  ChangeSet whole_;
  std::vector<bool> exists_ = std::vector<bool>(60);
  std::vector<Level> outer_;
  Lines rows_;
  int made_ = 0;
};

void take(MessageQueue& queue, const std::string& row, std::uint64_t position) {
  Result<BatchReader> opened = BatchReader::open(row);
  ASSERT_TRUE(opened.ok());
  const BatchHeader header = opened.value().header();
  ASSERT_TRUE(header.part);
  queue.note_part(header);
  BatchReader::Item item;
  while (opened.value().next(item)) {
    ASSERT_EQ(item.kind, BatchReader::Kind::message);
    queue.add_part({*item.shape, item.operation, std::string(item.id), std::string(item.fields), header},
                   item.shape_number, item.exact, position);
  }
  ASSERT_FALSE(opened.value().damaged());
}

struct Case {
  const char* name;
  bool shuffled;
  std::uint32_t early;  // one row in so many is followed by an early fold; 0: none is
};

class Parts : public testing::TestWithParam<Case> {};

TEST_P(Parts, FoldToWhatTheWholeSays) {
  std::size_t written = 0;
  std::size_t said = 0;
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<Transaction> transactions;
    Lines rows;
    for (std::uint64_t xid = 1; xid <= 3; ++xid) {
      transactions.emplace_back(seed * 3 + static_cast<std::uint32_t>(xid), xid, static_cast<std::int64_t>(xid) * 10000);
      transactions.back().run(200);
      rows.insert(rows.end(), transactions.back().rows().begin(), transactions.back().rows().end());
    }
    if (GetParam().shuffled) std::shuffle(rows.begin(), rows.end(), random);
    MessageQueue queue;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      take(queue, rows[i], i + 1);
      if (GetParam().early > 0 && random() % GetParam().early == 0) queue.fold_early();
    }
    queue.sort_by_time();
    std::vector<Lines> actual(transactions.size());
    for (; const MessageQueue::Waiting* first = queue.front(); queue.pop()) {
      const Message& message = first->message;
      const std::size_t of = message.origin.xid - 1;
      ASSERT_EQ(message.origin.time, transactions[of].last_time()) << "all parts have the time of the last";
      actual[of].push_back(line(message.shape, message.operation, message.id, message.fields));
    }
    for (std::size_t i = 0; i < transactions.size(); ++i) {
      Lines expected = transactions[i].expected();
      std::sort(expected.begin(), expected.end());
      std::sort(actual[i].begin(), actual[i].end());
      ASSERT_EQ(actual[i], expected);
      written += transactions[i].rows().size();
      said += expected.size();
    }
  }
  EXPECT_GT(written, 9000u) << "there were many parts";
  EXPECT_GT(said, 9000u) << "and something to say";
}

INSTANTIATE_TEST_SUITE_P(Orders, Parts,
                         testing::Values(Case{"InOrder", false, 0}, Case{"Shuffled", true, 0},
                                         Case{"InOrderAndFoldedEarly", false, 4}),
                         [](const testing::TestParamInfo<Case>& order) { return std::string(order.param.name); });

}  // namespace
}  // namespace cache_invalidate::core
