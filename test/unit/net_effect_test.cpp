// Net effects: what several changes of one record come to, and that it does not matter how they are grouped.
#include "core/net_effect.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

namespace cache_invalidate::core {
namespace {

constexpr Operation I = Operation::insert;
constexpr Operation U = Operation::update;
constexpr Operation D = Operation::remove;
constexpr Operation T = Operation::truncate;

NetEffect effect_of(const std::vector<Operation>& operations, bool exact) {
  NetEffect effect(operations.front(), exact);
  for (std::size_t i = 1; i < operations.size(); ++i) effect.add(operations[i], exact);
  return effect;
}

std::string said(const NetEffect& effect) {
  return effect.is_nothing() ? "nothing" : std::string(operation_name(effect.operation()));
}
std::string said(const std::vector<Operation>& operations, bool exact = true) { return said(effect_of(operations, exact)); }

TEST(NetEffect, IsWhatBecameOfTheRecord) {
  EXPECT_EQ(said({I}), "INSERT");
  EXPECT_EQ(said({U}), "UPDATE");
  EXPECT_EQ(said({D}), "DELETE");
  EXPECT_EQ(said({I, U}), "INSERT");
  EXPECT_EQ(said({U, U}), "UPDATE");
  EXPECT_EQ(said({U, D}), "DELETE");
  EXPECT_EQ(said({D, I}), "UPDATE");
  EXPECT_EQ(said({I, D}), "nothing");
  EXPECT_EQ(said({I, U, D}), "nothing");
  EXPECT_EQ(said({I, D, I}), "INSERT");
  EXPECT_EQ(said({D, I, D}), "DELETE");
  EXPECT_EQ(said({U, D, I, U}), "UPDATE");
}

TEST(NetEffect, OfAnInexactIdIsNeverNothing) {
  EXPECT_EQ(said({I}, false), "INSERT");
  EXPECT_EQ(said({I, I}, false), "INSERT");
  EXPECT_EQ(said({D, D, D}, false), "DELETE");
  EXPECT_EQ(said({I, D}, false), "UPDATE");
  EXPECT_EQ(said({U, D}, false), "UPDATE");
  EXPECT_EQ(said({I, D, D}, false), "UPDATE");
  NetEffect effect(I, true);
  effect.add(D, false);
  EXPECT_FALSE(effect.is_exact());
  EXPECT_EQ(said(effect), "UPDATE");
  effect.add(D, true);
  EXPECT_FALSE(effect.is_exact()) << "once inexact, always";
  EXPECT_EQ(said(effect), "UPDATE");
}

TEST(NetEffect, DoesNotDependOnTheOrderInWhichChangesCome) {
  NetEffect effect(U, true, 7);
  EXPECT_FALSE(effect.add(I, true, 5)) << "made before";
  EXPECT_EQ(said(effect), "INSERT");
  EXPECT_TRUE(effect.add(D, true, 9));
  EXPECT_EQ(said(effect), "nothing");
  EXPECT_FALSE(effect.add(U, true, 8));
  EXPECT_EQ(said(effect), "nothing");
}

TEST(NetEffect, OfWhatIsNoRecordIsTheLast) {
  for (const bool exact : {true, false}) {
    EXPECT_EQ(said({T}, exact), "TRUNCATE");
    EXPECT_EQ(said({U, T}, exact), "TRUNCATE");
    EXPECT_EQ(said({T, U}, exact), "UPDATE");
    EXPECT_EQ(said({Operation::test}, exact), "TEST");
  }
}

// The changes of a record in one go, and those of each part first: the same.
TEST(NetEffect, ComesOutTheSameInParts) {
  std::mt19937 random(5);
  for (int round = 0; round < 20000; ++round) {
    const bool exact = random() % 2 == 0;
    bool exists = random() % 2 == 0;
    std::vector<Operation> all;
    for (auto count = 1 + random() % 8; count > 0; --count) {
      if (!exact) {
        all.push_back(static_cast<Operation>(random() % 3));
        continue;
      }
      all.push_back(!exists ? I : random() % 2 == 0 ? U : D);
      exists = all.back() != D;
    }
    std::optional<NetEffect> folded;
    for (std::size_t start = 0; start < all.size();) {
      const std::size_t end = start + 1 + random() % (all.size() - start);
      const auto at = [&all](std::size_t i) { return all.begin() + static_cast<std::ptrdiff_t>(i); };
      const NetEffect part = effect_of(std::vector<Operation>(at(start), at(end)), exact);
      start = end;
      if (part.is_nothing()) continue;
      if (folded) {
        folded->add(part.operation(), exact);
      } else {
        folded.emplace(part.operation(), exact);
      }
    }
    ASSERT_EQ(folded ? said(*folded) : "nothing", said(all, exact)) << "round " << round;
  }
}

}  // namespace
}  // namespace cache_invalidate::core
