// Decisions that depend on nothing but the seed, the client and the number of the operation, so that a seed
// repeats them whatever the servers did meanwhile.
#pragma once

#include <cstdint>

namespace cache_invalidate::consistency {

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t client, std::uint64_t operation)
      : state_(seed * 0x9e3779b97f4a7c15u + client * 0xd1342543de82ef95u + operation * 0xaf251af3b0f025b5u) {
    next();
  }

  std::uint64_t next() {  // splitmix64
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }
  // 0 ... bound - 1
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(bound));
  }
  std::int64_t between(std::int64_t least, std::int64_t most) { return least + below(most - least + 1); }
  bool chance(std::int64_t in_10000) { return below(10000) < in_10000; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace cache_invalidate::consistency
