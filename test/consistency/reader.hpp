// Who reads rows through a cache, by one of the protocols, and notes what it got and what it stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "cache.hpp"
#include "database.hpp"
#include "log.hpp"
#include "random.hpp"
#include "shared.hpp"
#include "subscription.hpp"

namespace cache_invalidate::consistency {

class Reader {
 public:
  // `number` is its own among all clients, `place` among those of the protocol.
  Reader(Shared& shared, Protocol protocol, int number, int place);
  void run();

 private:
  struct Choice {
    std::int64_t id = 0;
    Nanoseconds pause = 0;      // between reading and storing
    bool until_passed = false;  // or as long as the row is still being changed
    bool by_script = false;
    bool inside = false;  // the pause comes after the look at the lease
    int lease_ms = 3000;
    Nanoseconds rest = 0;
  };

  struct Local {
    CachedValue value;
    Nanoseconds expires = 0;
  };

  static constexpr int kRecent = 8;

  Choice draw(Random& random);
  std::int64_t draw_id(Random& random);
  bool is_ready();
  // From the cache; false: Redis is away. `value` is empty if it has none.
  bool look(const Choice& choice, std::optional<CachedValue>& value);
  void fill(const Choice& choice);
  void fill_plainly(const Choice& choice);
  void fill_under_lease(const Choice& choice);
  Outcome store_by_watch(const Choice& choice, const std::string& lease, const std::string& token,
                         Record& fill);
  Outcome store_by_script(const Choice& choice, const std::string& lease, const std::string& token,
                          Record& fill);
  void fill_locally(const Choice& choice);
  void drop_locally();
  bool select(const Choice& choice, Record& fill);
  void linger(const Choice& choice);
  void note_read(std::int64_t id, const CachedValue& value, Source source, Nanoseconds begin,
                 Nanoseconds end);
  void note_fill(Record fill, Outcome outcome);
  std::string key_of(std::int64_t id) const { return name_of(protocol_) + (":" + name_of_row(id)); }

  Shared& shared_;
  const Protocol protocol_;
  const int number_;
  Log log_;
  Database database_;
  Cache cache_;
  std::optional<Subscription> subscription_;
  std::unordered_map<std::int64_t, Local> local_;
  std::int64_t reading_ = 0;  // the row that is being read to be stored locally
  bool is_dropped_ = false;   // a message said that it changed meanwhile
  std::int64_t recent_[kRecent] = {};
  int generation_ = -1;
  std::int64_t operation_ = 0;
  std::int64_t last_fill_ = 0;
};

}  // namespace cache_invalidate::consistency
