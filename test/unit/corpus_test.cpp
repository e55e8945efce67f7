// The corpus of the fuzzers: what they began with, and what they once found.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "../fuzz/targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

class Corpus : public testing::TestWithParam<Target> {};

TEST_P(Corpus, BreaksNothing) {
  const std::filesystem::path folder = std::filesystem::path(__FILE__).parent_path() / "../fuzz/corpus" / GetParam().name;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NO_THROW(GetParam().run(input));
    // Whatever is cut off.
    for (std::size_t size = 0; size < input.size(); size += 1 + input.size() / 64) {
      EXPECT_NO_THROW(GetParam().run(std::string_view(input).substr(0, size))) << size;
    }
    ++inputs;
  }
  EXPECT_GT(inputs, 3);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, testing::ValuesIn(kTargets),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace cache_invalidate::fuzz
