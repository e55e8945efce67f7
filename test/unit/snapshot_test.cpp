// Snapshots of transactions.
#include "core/snapshot.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cache_invalidate::core {
namespace {

XidSnapshot snapshot(std::uint64_t xmin, std::uint64_t xmax, std::vector<std::uint64_t> in_progress) {
  XidSnapshot made;
  made.xmin = xmin;
  made.xmax = xmax;
  made.in_progress = std::move(in_progress);
  return made;
}

TEST(Snapshot, ContainsNothingWhenEmpty) {
  const XidSnapshot empty;
  for (const std::uint64_t xid : {std::uint64_t{0}, std::uint64_t{3}, ~std::uint64_t{0}})
    EXPECT_FALSE(empty.contains(xid));
}

TEST(Snapshot, ContainsWhatHadEnded) {
  const std::uint64_t epoch = std::uint64_t{1} << 32;
  const XidSnapshot s = snapshot(epoch - 2, epoch + 5, {epoch - 2, epoch, epoch + 3});
  const std::vector<std::pair<std::uint64_t, bool>> cases = {{3, true},
                                                             {epoch - 3, true},
                                                             {epoch - 2, false},
                                                             {epoch - 1, true},
                                                             {epoch, false},
                                                             {epoch + 1, true},
                                                             {epoch + 2, true},
                                                             {epoch + 3, false},
                                                             {epoch + 4, true},
                                                             {epoch + 5, false},
                                                             {epoch + 6, false},
                                                             {2 * epoch, false},
                                                             {~std::uint64_t{0}, false}};
  for (const auto& [xid, contained] : cases) EXPECT_EQ(s.contains(xid), contained) << xid;
}

TEST(Snapshot, TellsTheEarlierOne) {
  const XidSnapshot empty;
  const XidSnapshot early = snapshot(10, 20, {10, 15});
  const XidSnapshot later = snapshot(15, 20, {15});
  const XidSnapshot last = snapshot(30, 30, {});
  const std::vector<XidSnapshot> chain = {empty, early, later, last};
  for (std::size_t a = 0; a < chain.size(); ++a) {
    for (std::size_t b = 0; b < chain.size(); ++b) EXPECT_EQ(chain[a].is_within(chain[b]), a <= b) << a << " " << b;
  }
  // Of two that are no moments of one history, neither may be.
  EXPECT_FALSE(snapshot(10, 20, {10}).is_within(snapshot(10, 20, {15})));
  EXPECT_FALSE(snapshot(10, 20, {15}).is_within(snapshot(10, 20, {10})));
}

}  // namespace
}  // namespace cache_invalidate::core
