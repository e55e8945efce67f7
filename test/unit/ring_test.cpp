// The ring: entries come out as they went in, whatever their bytes, and many producers do not disturb each
// other.
#include "journal/ring.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace cache_invalidate::journal {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// A ring in memory of exactly its size, so that the sanitizer sees the first byte beyond.
class Holder {
 public:
  explicit Holder(std::size_t data) : memory_(std::aligned_alloc(64, sizeof(Ring) + data)) {
    std::memset(memory_.get(), 0, sizeof(Ring) + data);
    ring_ = Ring::create(memory_.get(), sizeof(Ring) + data);
  }
  Ring* operator->() { return ring_; }
  std::string data() const {
    return {static_cast<const char*>(memory_.get()) + sizeof(Ring),
            static_cast<std::size_t>(ring_->capacity())};
  }

 private:
  std::unique_ptr<void, Free> memory_;
  Ring* ring_;
};

RingEntry entry(std::uint64_t xid) {
  RingEntry made;
  made.xid = xid;
  made.commit_time = -static_cast<std::int64_t>(xid);
  made.segment = static_cast<std::uint32_t>(xid % 2);
  made.kind = static_cast<std::uint32_t>(xid % 5);
  return made;
}

void expect_front(Holder& ring, std::uint64_t xid, const std::string& expected) {
  RingEntry found;
  std::string payload = "what stood there";
  ASSERT_TRUE(ring->front(found, payload));
  EXPECT_EQ(found.xid, xid);
  EXPECT_EQ(found.commit_time, -static_cast<std::int64_t>(xid));
  EXPECT_EQ(found.segment, xid % 2);
  EXPECT_EQ(found.kind, xid % 5);
  ASSERT_TRUE(payload == expected);
}

bool is_empty(Holder& ring) {
  RingEntry found;
  std::string payload;
  return !ring->front(found, payload);
}

// As of a prepared transaction, whose batch is in the journal: there is nothing to point to.
TEST(Ring, TakesAnEntryWithoutPayload) {
  Holder ring(4096);
  ASSERT_TRUE(ring->push(entry(1), std::string_view()));
  ASSERT_TRUE(ring->push(entry(2), "next"));
  expect_front(ring, 1, "");
  ring->pop();
  expect_front(ring, 2, "next");
}

// Half of it stays free, and no entry is larger than a quarter.
TEST(Ring, KnowsWhetherItHasAmpleRoom) {
  Holder ring(4096);
  EXPECT_TRUE(ring->has_ample_room_for(900));
  EXPECT_FALSE(ring->has_ample_room_for(1025));
  int taken = 0;
  while (ring->has_ample_room_for(900)) {
    ASSERT_TRUE(ring->push(entry(1), std::string(900, 'x')));
    ++taken;
  }
  EXPECT_EQ(taken, 2);
  EXPECT_LE(ring->used(), 2048u);
  EXPECT_TRUE(ring->has_ample_room_for(10));
  ASSERT_TRUE(ring->push(entry(2), std::string(900, 'x'))) << "there is room, but not ample";
  EXPECT_FALSE(ring->has_ample_room_for(10));
  ring->pop();
  ring->pop();
  EXPECT_TRUE(ring->has_ample_room_for(10));
}

TEST(Ring, IsEmptyAtFirst) {
  Holder ring(4096);
  EXPECT_TRUE(is_empty(ring));
  EXPECT_EQ(ring->capacity(), 4096u);
  EXPECT_EQ(ring->used(), 0u);
}

TEST(Ring, GivesEntriesInTheirOrder) {
  Holder ring(4096);
  const std::string payloads[] = {"", "a", std::string(32, 'b'), std::string(33, 'c'),
                                  std::string("\0\xff", 2)};
  for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(ring->push(entry(i), payloads[i]));
  EXPECT_EQ(ring->used(), 6 * 64u);
  EXPECT_EQ(ring->reserved(), ring->consumed() + ring->used());
  for (std::uint64_t i = 0; i < 5; ++i) {
    expect_front(ring, i, payloads[i]);
    expect_front(ring, i, payloads[i]);  // until it is popped
    ring->pop();
  }
  EXPECT_TRUE(is_empty(ring));
  EXPECT_EQ(ring->used(), 0u);
}

TEST(Ring, RefusesWhatHasNoRoomUntilThereIsSome) {
  Holder ring(1024);
  std::uint64_t pushed = 0;
  while (ring->push(entry(pushed), "x")) ++pushed;
  EXPECT_EQ(pushed, 16u);
  EXPECT_EQ(ring->used(), ring->capacity());
  for (std::uint64_t lap = 0; lap < 100; ++lap) {
    expect_front(ring, lap, "x");
    EXPECT_FALSE(ring->push(entry(0), "x"));
    ring->pop();
    EXPECT_FALSE(ring->push(entry(0), std::string(100, 'x'))) << "one unit is free, not three";
    ASSERT_TRUE(ring->push(entry(pushed + lap), "x"));
  }
}

TEST(Ring, RefusesAnEntryThatWouldTakeMostOfIt) {
  Holder ring(4096);
  EXPECT_TRUE(ring->push(entry(1), std::string(1024 - 32, 'x')));
  EXPECT_FALSE(ring->push(entry(2), std::string(1024 - 31, 'x')));
  EXPECT_FALSE(ring->push(entry(3), std::string(1 << 20, 'x')));
  EXPECT_EQ(ring->used(), 1024u);
}

TEST(Ring, UsesWholeUnitsOfAnOddSize) {
  Holder ring(4096 + 64);
  EXPECT_EQ(ring->capacity(), 4160u);
  alignas(64) static char memory[sizeof(Ring) + 1000] = {};
  EXPECT_EQ(Ring::create(memory, sizeof memory)->capacity(), 960u);
}

// Sizes that meet the end of the memory at every place, over many laps, against a queue.
TEST(Ring, WrapsAroundAtEveryPlace) {
  Holder ring(2048);
  std::mt19937 random(1);
  std::deque<std::pair<std::uint64_t, std::string>> expected;
  std::uint64_t next = 1;
  for (int step = 0; step < 100000; ++step) {
    if (random() % 2 == 0) {
      std::string payload(random() % 481, '\0');
      for (char& c : payload) c = static_cast<char>(next + (&c - payload.data()));
      const std::uint64_t before = ring->used();
      const std::uint64_t room = (32 + payload.size() + 63) / 64 * 64;
      const bool fits = room <= 512 && before + room <= 2048;
      ASSERT_EQ(ring->push(entry(next), payload), fits);
      if (fits) expected.emplace_back(next++, std::move(payload));
    } else if (!expected.empty()) {
      expect_front(ring, expected.front().first, expected.front().second);
      if (HasFatalFailure()) return;
      expected.pop_front();
      ring->pop();
    } else {
      ASSERT_TRUE(is_empty(ring));
    }
  }
}

// A payload's bytes lie where headers will lie on the next lap: they must not be taken for ready ones.
TEST(Ring, IsNotDeceivedByPayloadsThatLookLikeHeaders) {
  Holder ring(1024);
  std::string forged;
  for (int i = 0; i < 56; ++i) forged += std::string("\x01\0\0\0", 4);
  for (std::uint64_t lap = 0; lap < 200; ++lap) {
    ASSERT_TRUE(ring->push(entry(lap), forged.substr(lap % 4)));
    expect_front(ring, lap, forged.substr(lap % 4));
    ring->pop();
    ASSERT_TRUE(is_empty(ring)) << lap;
    if (lap % 3 == 0) {
      ASSERT_TRUE(ring->push(entry(lap), ""));
      expect_front(ring, lap, "");
      ring->pop();
      ASSERT_TRUE(is_empty(ring));
    }
  }
}

// An entry that is reserved and not yet written must look so, whatever lay there a lap ago.
TEST(Ring, LeavesNothingBehind) {
  Holder ring(1024);
  const std::string clean(1024, '\0');
  for (std::uint64_t lap = 0; lap < 100; ++lap) {
    ASSERT_TRUE(ring->push(entry(lap), std::string(lap * 7 % 220, '\xff')));
    ASSERT_TRUE(ring->push(entry(lap), std::string(lap * 11 % 220, '\x01')));
    ring->pop();
    ring->pop();
    ASSERT_TRUE(ring.data() == clean) << lap;
  }
}

// Whoever touches memory for the first time pays for it, and again when it has left the processor's cache.
TEST(Ring, StaysInItsFirstPartWhileItIsEmptied) {
  Holder ring(1 << 20);
  std::uint64_t laps = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const std::uint64_t before = ring->reserved();
    ASSERT_TRUE(ring->push(entry(i), "x"));
    ASSERT_LE((ring->reserved() - 64) % ring->capacity(), Ring::kRewoundFrom);
    ASSERT_TRUE(ring->push(entry(i + 1), "y"));
    ring->pop();
    expect_front(ring, i + 1, "y");
    ring->pop();
    ASSERT_EQ(ring->used(), 0u);
    ASSERT_EQ(ring->consumed(), ring->reserved());
    ASSERT_GT(ring->reserved(), before) << "positions never fall";
    if (ring->reserved() % ring->capacity() == 0) ++laps;
  }
  EXPECT_EQ(laps, 20000 / (Ring::kRewoundFrom / 128));
}

// Full from its beginning on, and not one unit more: what has not been taken stays.
TEST(Ring, IsFullWhenItIsFullAfterItWasRewound) {
  Holder ring(2 * Ring::kRewoundFrom);
  for (std::uint64_t lap = 0; lap < 5; ++lap) {
    do {
      ASSERT_TRUE(ring->push(entry(1), "x"));
      ring->pop();
    } while (ring->reserved() % ring->capacity() != 0);
    std::uint64_t pushed = 0;
    while (pushed <= ring->capacity() / 64 && ring->push(entry(pushed), "x")) ++pushed;
    ASSERT_EQ(pushed, ring->capacity() / 64);
    EXPECT_EQ(ring->used(), ring->capacity());
    for (std::uint64_t i = 0; i < pushed; ++i) {
      expect_front(ring, i, "x");
      ring->pop();
    }
    EXPECT_TRUE(is_empty(ring));
  }
}

std::string payload_of(std::uint64_t producer, std::uint64_t number, std::size_t longest) {
  const std::uint64_t mixed = (producer * 1000003 + number) * 2654435761U;
  std::string payload(mixed / 64 % longest, static_cast<char>(mixed | 1));
  return payload + std::to_string(producer) + ":" + std::to_string(number);
}

struct Crowd {
  const char* name;
  std::size_t ring;
  std::size_t longest;
  std::uint64_t each;
  std::uint64_t pause_above;  // a producer waits while more than this is used
};
constexpr std::uint64_t kProducers = 5;

void produce(Holder& ring, const Crowd& crowd, std::uint64_t producer) {
  for (std::uint64_t number = 0; number < crowd.each; ++number) {
    RingEntry made;
    made.xid = producer << 32 | number;
    const std::string payload = payload_of(producer, number, crowd.longest);
    while (ring->used() > crowd.pause_above || !ring->push(made, payload)) std::this_thread::yield();
  }
}

// Takes everything; false: something was lost, doubled, torn, or out of its producer's order.
bool consume(Holder& ring, const Crowd& crowd) {
  std::vector<std::uint64_t> next(kProducers, 0);
  RingEntry found;
  std::string payload;
  std::uint64_t looks = 0;
  for (std::uint64_t taken = 0; taken < kProducers * crowd.each;) {
    if (!ring->front(found, payload)) {
      // It mostly looks again at once, to see entries in the making.
      if (++looks % 256 == 0) std::this_thread::yield();
      continue;
    }
    const std::uint64_t producer = found.xid >> 32;
    const std::uint64_t number = found.xid & 0xFFFFFFFF;
    if (producer >= kProducers || number != next[producer]++) return false;
    if (payload != payload_of(producer, number, crowd.longest)) return false;
    ring->pop();
    ++taken;
  }
  return true;
}

class RingCrowd : public testing::TestWithParam<Crowd> {};

TEST_P(RingCrowd, CarriesTheEntriesOfManyProducers) {
  Holder ring(GetParam().ring);
  std::vector<std::thread> producers;
  for (std::uint64_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&ring, producer] { produce(ring, GetParam(), producer); });
  }
  const bool healthy = consume(ring, GetParam());
  if (!healthy) {
    // Nobody takes the rest, so the producers would never end.
    ADD_FAILURE() << "an entry was lost, doubled, torn or out of order";
    std::abort();
  }
  for (std::thread& thread : producers) thread.join();
  EXPECT_TRUE(is_empty(ring));
  EXPECT_EQ(ring->used(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Sizes, RingCrowd,
                         testing::Values(Crowd{"AlwaysFull", 8192, 200, 6000, ~std::uint64_t{0}},
                                         Crowd{"AlmostEmpty", 65536, 8000, 1000, 4096},
                                         Crowd{"OftenRewound", 3 * Ring::kRewoundFrom, 6000, 3000, 4096},
                                         Crowd{"RewoundAndFull", 2 * Ring::kRewoundFrom, 20000, 3000, ~std::uint64_t{0}}),
                         [](const testing::TestParamInfo<Crowd>& crowd) {
                           return std::string(crowd.param.name);
                         });

}  // namespace
}  // namespace cache_invalidate::journal
