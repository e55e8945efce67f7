// The change set against a model that does everything the slow and obvious way: a full copy of all items for
// each savepoint. Random operations, fixed seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "batch_text.hpp"
#include "core/change_set.hpp"

namespace cache_invalidate::core {
namespace {

using Lines = std::vector<std::string>;

class Model {
 public:
  void add_key(std::uint32_t scope, const std::string& key) {
    find("key " + std::to_string(scope + 1) + " " + key);
  }
  void add_pattern(std::uint32_t scope, const std::string& glob) {
    find("pattern " + std::to_string(scope + 1) + " " + glob);
  }
  void add_probe(const std::string& probe) { find("probe " + probe); }
  void add_error(const std::string& message) { find("error t INSERT " + message + " c"); }

  void add_change(std::uint32_t shape, const std::string& id, Operation operation,
                  const std::string& fields) {
    bool is_new = false;
    Item& item = find("message s" + std::to_string(shape) + " ? " + id, &is_new);
    if (is_new) item.existed_before = operation != Operation::insert;
    item.is_change = true;
    item.exists_now = operation != Operation::remove;
    item.fields = fields;
  }

  int level() const { return static_cast<int>(outer_.size()) + 1; }
  void savepoint() {
    outer_.push_back({items_, written_.size(), touched_});
    touched_ = false;
  }
  void release() {
    touched_ = touched_ || outer_.back().touched;
    outer_.pop_back();
  }
  void rollback() {
    items_ = outer_.back().items;
    written_.resize(outer_.back().written);
    touched_ = outer_.back().touched;
    outer_.pop_back();
  }

  // May what this level added be written out early?
  bool touched() const { return touched_ || outer_.empty(); }
  std::uint32_t own_start() const {
    return outer_.empty() ? 0 : static_cast<std::uint32_t>(outer_.back().items.size());
  }
  void spill() {
    for (std::string& line : text(own_start())) written_.push_back(std::move(line));
    items_.resize(own_start());
  }

  Lines text(std::size_t from = 0) const {
    Lines lines;
    for (std::size_t i = from; i < items_.size(); ++i) {
      const Item& item = items_[i];
      if (!item.is_change) {
        lines.push_back(item.identity);
      } else if (item.existed_before || item.exists_now) {
        std::string line = item.identity;
        const char* net = !item.exists_now ? "DELETE" : item.existed_before ? "UPDATE" : "INSERT";
        line.replace(line.find('?'), 1, net);
        lines.push_back(line + " " + item.fields);
      }
    }
    return lines;
  }
  const Lines& written() const { return written_; }

 private:
  struct Item {
    std::string identity;
    bool is_change = false;
    bool existed_before = false;
    bool exists_now = false;
    std::string fields;
  };
  struct Level {
    std::vector<Item> items;
    std::size_t written;
    bool touched;
  };

  Item& find(const std::string& identity, bool* is_new = nullptr) {
    touched_ = true;
    for (Item& item : items_) {
      if (item.identity == identity) return item;
    }
    if (is_new != nullptr) *is_new = true;
    items_.emplace_back();
    items_.back().identity = identity;
    return items_.back();
  }

  std::vector<Item> items_;
  Lines written_;
  bool touched_ = false;
  std::vector<Level> outer_;
};

class Driver {
 public:
  Driver(std::uint32_t seed, int depth, std::uint32_t identities, std::size_t longest_fields)
      : random_(seed), depth_(depth), identities_(identities), longest_fields_(longest_fields) {}

  void step() {
    switch (pick(20)) {
      case 0:
      case 1:
      case 2: {
        const std::string key = identity();
        const std::uint32_t scope = pick(2);
        changes_.add_key(scope, key, model_.level());
        model_.add_key(scope, key);
        break;
      }
      case 3:
        add_rarity();
        break;
      case 4:
      case 5:
      case 6:
        if (model_.level() < depth_) model_.savepoint();
        break;
      case 7:
      case 8:
        if (model_.level() > 1) release();
        break;
      case 9:
      case 10:
        if (model_.level() > 1) rollback(pick(2) == 0);
        break;
      case 11:
        if (model_.touched() && pick(4) == 0) spill();
        break;
      default:
        add_change();
        break;
    }
  }

  void check() const {
    compare(change_text(changes_), model_.text());
    compare(written_, model_.written());
  }
  void finish() {
    while (model_.level() > 1) pick(3) == 0 ? rollback(false) : release();
  }

 private:
  // The first difference says more than two long lists.
  static void compare(const Lines& actual, const Lines& expected) {
    for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
      ASSERT_EQ(actual[i].substr(0, 200), expected[i].substr(0, 200)) << "in place " << i;
      ASSERT_TRUE(actual[i] == expected[i]) << "in place " << i;
    }
    ASSERT_EQ(actual.size(), expected.size());
  }

  std::uint32_t pick(std::uint32_t below) { return random_() % below; }
  std::string identity() { return "i" + std::to_string(pick(identities_)); }

  void add_change() {
    const auto operation = static_cast<Operation>(pick(3));
    const std::string id = identity();
    const std::uint32_t shape = pick(2);
    std::string fields;
    if (pick(4) != 0)
      fields.assign(1 + pick(static_cast<std::uint32_t>(longest_fields_)), static_cast<char>('a' + pick(26)));
    changes_.add_change(shape, id, operation, fields, model_.level());
    model_.add_change(shape, id, operation, fields);
  }
  void add_rarity() {
    const std::string text = identity();
    if (pick(3) == 0) {
      changes_.add_pattern(1, text, model_.level());
      model_.add_pattern(1, text);
    } else if (pick(2) == 0) {
      changes_.add_probe(text, model_.level());
      model_.add_probe(text);
    } else {
      changes_.add_error({"t", "INSERT", text, "c"}, model_.level());
      model_.add_error(text);
    }
  }
  void release() {
    changes_.release(model_.level());
    model_.release();
  }
  void rollback(bool and_again) {
    changes_.rollback(model_.level());
    model_.rollback();
    written_.resize(model_.written().size());
    if (and_again) model_.savepoint();
  }
  void spill() {
    ASSERT_EQ(changes_.innermost_start(), model_.own_start());
    for (std::string& line : change_text(changes_, changes_.innermost_start()))
      written_.push_back(std::move(line));
    changes_.forget(changes_.innermost_start());
    model_.spill();
  }

  std::mt19937 random_;
  int depth_;
  std::uint32_t identities_;
  std::size_t longest_fields_;
  ChangeSet changes_;
  Model model_;
  Lines written_;  // what was spilled and not rolled back
};

struct Size {
  const char* name;
  std::uint32_t seeds;
  int steps;
  int depth;
  std::uint32_t identities;
  std::size_t longest_fields;
  int check_every;
};

class ChangeSetModel : public testing::TestWithParam<Size> {};

TEST_P(ChangeSetModel, AgreesAfterRandomOperations) {
  const Size& size = GetParam();
  for (std::uint32_t seed = 1; seed <= size.seeds; ++seed) {
    Driver driver(seed, size.depth, size.identities, size.longest_fields);
    for (int step = 0; step < size.steps; ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", step " + std::to_string(step));
      driver.step();
      if (step % size.check_every == 0) driver.check();
      if (HasFatalFailure()) return;
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ", end");
    driver.finish();
    driver.check();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, ChangeSetModel,
    testing::Values(Size{"ShortAndShallow", 800, 40, 3, 2, 8, 1}, Size{"Deep", 150, 200, 8, 5, 12, 1},
                    Size{"Long", 20, 5000, 8, 12, 20, 17}, Size{"BigFields", 12, 3000, 6, 8, 4000, 31}),
    [](const testing::TestParamInfo<Size>& size) { return std::string(size.param.name); });

}  // namespace
}  // namespace cache_invalidate::core
