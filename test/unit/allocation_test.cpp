// Memory that runs out, at every place where it can: nothing leaks, what was there stays, and the object goes
// on to work. operator new is replaced for the whole test program and fails only where a test here says so.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "allocation_failure.hpp"
#include "batch_text.hpp"
#include "core/backlog.hpp"
#include "core/change_set.hpp"
#include "core/glob.hpp"
#include "core/message_queue.hpp"
#include "core/pending_keys.hpp"

namespace cache_invalidate::core {
thread_local long allocations_left = -1;
}

namespace {

bool fails() noexcept {
  long& left = cache_invalidate::core::allocations_left;
  if (left < 0) return false;
  return left-- == 0;
}

}  // namespace

// Not inlined, or the compiler takes malloc and free where they meet new and delete for a mistake.
#define TEST_NOINLINE __attribute__((noinline))

TEST_NOINLINE void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return fails() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
TEST_NOINLINE void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
TEST_NOINLINE void operator delete(void* memory) noexcept {
  std::free(memory);
}
TEST_NOINLINE void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
TEST_NOINLINE void operator delete(void* memory, const std::nothrow_t& /*tag*/) noexcept {
  std::free(memory);
}
void* operator new[](std::size_t size) {
  return operator new(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete[](void* memory) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, const std::nothrow_t& /*tag*/) noexcept {
  operator delete(memory);
}

namespace cache_invalidate::core {

bool retried(const std::function<void()>& operation, const std::function<void()>& after_failure) {
  for (long failing = 0; failing < 1000; ++failing) {
    allocations_left = failing;
    try {
      operation();
      allocations_left = -1;
      return true;
    } catch (const std::bad_alloc&) {
      allocations_left = -1;
      after_failure();
    }
  }
  allocations_left = -1;
  return false;
}

namespace {

using Lines = std::vector<std::string>;

TEST(OutOfMemory, IsWhatTheReplacedOperatorMakesOfIt) {
  allocations_left = 0;
  EXPECT_THROW(std::vector<int>(100), std::bad_alloc);
  allocations_left = -1;
  EXPECT_NO_THROW(std::vector<int>(100));
}

// The same steps on a set that has memory and on one that runs out again and again.
struct ChangeStep {
  int kind;
  int level;
  std::string text;
  std::string fields;
  Operation operation;
};

void apply(ChangeSet& changes, const ChangeStep& step) {
  switch (step.kind) {
    case 0:
      changes.add_key(0, step.text, step.level);
      break;
    case 1:
      changes.add_change(0, step.text, step.operation, step.fields, step.level);
      break;
    case 2:
      changes.add_error({"t", "INSERT", step.text, "c"}, step.level);
      break;
    case 3:
      changes.add_probe(step.text, step.level);
      break;
    case 4:
      changes.release(step.level);
      break;
    case 5:
      changes.rollback(step.level);
      break;
    default:
      changes.forget(changes.innermost_start());
      break;
  }
}

std::vector<ChangeStep> change_steps() {
  std::vector<ChangeStep> steps;
  std::uint32_t random = 1;
  const auto pick = [&random](std::uint32_t below) {
    random = random * 1664525 + 1013904223;
    return static_cast<int>((random >> 8) % below);
  };
  int level = 1;
  bool touched = true;
  for (int i = 0; i < 1000; ++i) {
    int kind = pick(12);
    if (kind >= 7) kind = 1;
    if (kind >= 4 && level == 1) kind = 0;
    if (kind == 6 && (!touched || pick(4) != 0)) kind = 0;
    const auto size = static_cast<std::size_t>(pick(20) == 0 ? 5000 : pick(40));
    steps.push_back({kind, level, "i" + std::to_string(pick(200)), std::string(size, 'f'),
                     static_cast<Operation>(pick(3))});
    touched = kind <= 3;
    if (kind == 4 || kind == 5) --level;
    if (kind <= 3 && pick(4) == 0 && level < 6) ++level, touched = false;
  }
  return steps;
}

TEST(OutOfMemory, LeavesAChangeSetAsItWas) {
  ChangeSet healthy;
  ChangeSet starved;
  int failures = 0;
  for (const ChangeStep& step : change_steps()) {
    Lines before;
    const bool adds = step.kind <= 3;
    if (adds) before = change_text(starved);
    ASSERT_TRUE(retried([&] { apply(starved, step); },
                        [&] {
                          ++failures;
                          if (!adds) return;
                          EXPECT_EQ(change_text(starved), before);
                        }));
    apply(healthy, step);
    ASSERT_EQ(change_text(starved), change_text(healthy));
    ASSERT_EQ(starved.size(), healthy.size());
  }
  EXPECT_GT(failures, 10);
}

TEST(OutOfMemory, LetsAChangeSetBeRolledBackAndClearedAtAnyPoint) {
  for (long failing = 0; failing < 200; ++failing) {
    ChangeSet changes;
    changes.add_change(0, "1", Operation::insert, "\"a\":1", 1);
    allocations_left = failing;
    bool failed = false;
    try {
      for (int i = 0; i < 200; ++i) {
        changes.add_change(0, std::to_string(i % 100), Operation::update,
                           std::string(static_cast<std::size_t>(i), 'x'), 2);
        changes.add_key(0, "key:" + std::to_string(i), 3);
        changes.release(3);
      }
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    allocations_left = 0;
    EXPECT_NO_THROW(changes.release(3));
    EXPECT_NO_THROW(changes.rollback(2));
    allocations_left = -1;
    EXPECT_EQ(change_text(changes), Lines{"message s0 INSERT 1 \"a\":1"});
    allocations_left = 0;
    EXPECT_NO_THROW(changes.clear());
    allocations_left = -1;
    EXPECT_TRUE(changes.empty());
    if (!failed) break;
  }
}

// The failure may come between the copy of a record's state and the change of it.
TEST(OutOfMemory, KeepsStatesThatWereSavedInVain) {
  const std::string first(1000, 'a');
  const std::string second(1000, 'b');
  const std::string large(60000, 'c');
  bool failed = true;
  for (long failing = 0; failed; ++failing) {
    ChangeSet changes;
    changes.add_change(0, "1", Operation::insert, first, 1);
    changes.add_change(0, "2", Operation::insert, second, 1);
    changes.add_key(0, "k", 2);
    failed = false;
    allocations_left = failing;
    try {
      changes.add_change(0, "1", Operation::insert, large, 2);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    allocations_left = -1;
    for (int i = 0; i < 4; ++i) changes.add_change(0, "3", Operation::insert, std::string(50000 + i, 'd'), 2);
    const Lines lines = change_text(changes);
    EXPECT_EQ(lines[0], "message s0 INSERT 1 " + (failed ? first : large));
    EXPECT_EQ(lines[1], "message s0 INSERT 2 " + second);
    changes.rollback(2);
    EXPECT_EQ(change_text(changes), (Lines{"message s0 INSERT 1 " + first, "message s0 INSERT 2 " + second}));
  }
}

Lines drained(MessageQueue queue) {
  Lines lines;
  for (; const MessageQueue::Waiting* first = queue.front(); queue.pop()) {
    lines.push_back(first->message.id + "@" + std::to_string(first->position) + "@" +
                    std::to_string(first->message.origin.time));
  }
  return lines;
}

TEST(OutOfMemory, LosesNoMessage) {
  MessageQueue healthy;
  MessageQueue starved;
  Shape shape;
  shape.channel = "a channel whose name needs memory of its own";
  int failures = 0;
  for (std::uint64_t i = 1; i <= 4000; ++i) {
    const std::string id = "an id that needs memory of its own " + std::to_string(i * 7919 % 900);
    const BatchHeader origin{i, static_cast<std::int64_t>(i)};
    std::size_t before = starved.size();
    ASSERT_TRUE(retried([&] { starved.add(shape, Operation::update, id, "", origin, i); },
                        [&] {
                          ++failures;
                          EXPECT_LE(starved.size(), before);  // less: it may have dropped what folded
                        }));
    healthy.add(shape, Operation::update, id, "", origin, i);
    if (i % 3 == 0) {
      healthy.front();
      healthy.pop();
      starved.front();
      starved.pop();
    }
    if (i % 500 == 0) {
      allocations_left = static_cast<long>(i / 500);
      EXPECT_NO_THROW(starved.sort_by_time());
      allocations_left = -1;
      healthy.sort_by_time();
    }
    ASSERT_EQ(starved.front()->message.id, healthy.front()->message.id);
    if (i % 250 != 0) continue;
    // Without memory it folds less, but each message's newest is there, in its order.
    const Lines all = drained(starved);
    std::size_t found = 0;
    const Lines expected = drained(healthy);
    for (const std::string& line : all) found += found < expected.size() && line == expected[found] ? 1 : 0;
    ASSERT_EQ(found, expected.size());
  }
  EXPECT_GT(failures, 1000);
}

TEST(OutOfMemory, LosesNoPart) {
  Shape shape;
  shape.channel = "a channel whose name needs memory of its own";
  bool folded = false;
  for (long allowed = 0; !folded; ++allowed) {
    MessageQueue queue;
    for (std::uint64_t i = 1; i <= 6; ++i) {
      const std::string id = "an id that needs memory of its own " + std::to_string(i % 3);
      const BatchHeader header{1, static_cast<std::int64_t>(i), true};
      ASSERT_TRUE(retried([&] { queue.note_part(header); }, [] {}));
      ASSERT_TRUE(retried([&] { queue.add_part({shape, Operation::update, id, "", header}, 0, true, i); }, [] {}));
    }
    allocations_left = allowed;
    EXPECT_NO_THROW(queue.sort_by_time());
    folded = allocations_left >= 0;  // it had what it needed
    allocations_left = -1;
    // Unfolded, each part says what it says.
    const Lines lines = drained(queue);
    ASSERT_TRUE(lines.size() == 3 || (!folded && lines.size() == 6)) << lines.size();
    EXPECT_EQ(lines.back(), "an id that needs memory of its own 0@6@6");
  }
}

TEST(OutOfMemory, LosesNothingThatIsWidened) {
  Backlog::Limits limits;
  limits.patterns = 20;
  limits.families = 30;
  Backlog backlog(limits);
  std::vector<std::string> owed;
  int failures = 0;
  for (std::uint64_t position = 1; position <= 600; ++position) {
    const std::string family = std::to_string(position * 7 % 19) + ":";
    owed.push_back(family + std::to_string(position));
    ASSERT_TRUE(retried([&] { backlog.add_key(owed.back(), family + "*", position); }, [&] { ++failures; }));
    ASSERT_TRUE(retried([&] { backlog.keep_within(50); },
                        [&] {
                          ++failures;
                          EXPECT_EQ(backlog.acknowledged(), 0u);
                        }));
    if (position % 97 == 0 && backlog.keys().in_flight() == 0) backlog.keys().depart();
    if (position % 101 == 0) {
      ASSERT_TRUE(retried([&] { backlog.put_back(); }, [&] { ++failures; }));
    }
  }
  std::vector<Glob> globs;
  std::vector<std::string> keys;
  backlog.for_each([&](bool is_pattern, std::string_view bytes, std::string_view) {
    if (is_pattern) globs.emplace_back(bytes);
    if (!is_pattern) keys.emplace_back(bytes);
  });
  for (const std::string& key : owed) {
    const bool covered = std::any_of(globs.begin(), globs.end(), [&](const Glob& glob) { return glob.matches(key); });
    EXPECT_TRUE(covered || std::find(keys.begin(), keys.end(), key) != keys.end()) << key;
  }
  EXPECT_GT(backlog.widened(), 3u);
  EXPECT_GT(failures, 10);
}

TEST(OutOfMemory, LosesNoKey) {
  PendingKeys keys;
  std::uint64_t position = 0;
  int failures = 0;
  std::vector<std::string> owed;
  for (int round = 0; round < 300; ++round) {
    const std::string key = "key:" + std::to_string(round);
    ++position;
    const std::uint64_t acknowledged = keys.acknowledged();
    ASSERT_TRUE(retried([&] { keys.add(key, position); },
                        [&] {
                          ++failures;
                          EXPECT_LE(keys.acknowledged(), acknowledged);
                        }));
    owed.push_back(key);
    if (round % 7 == 0 && keys.in_flight() == 0) keys.depart();
    if (round % 5 == 0) {
      ASSERT_TRUE(retried([&] { keys.put_back(); }, [&] { ++failures; }));
      ASSERT_EQ(keys.collecting(), owed.size());
    }
  }
  if (keys.in_flight() > 0) keys.put_back();
  keys.depart();
  ASSERT_EQ(keys.in_flight(), owed.size());
  for (std::uint32_t i = 0; i < owed.size(); ++i) EXPECT_EQ(keys.key(i), owed[i]);
  EXPECT_GT(failures, 10);
}

}  // namespace
}  // namespace cache_invalidate::core
