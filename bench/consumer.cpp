// What stands beside the database in the alternatives: takes the changes and deletes the keys in the Redis.
//
//   consumer MODE CONNINFO REDIS_SOCKET
//
// MODE: listen (only counts what cache_invalidate sends, and prints "heard" when it hears of the sentinel row), notify, tcn, outbox, pgq or wal2json; see variants.
// It prints "ready" when it misses nothing any more, and at SIGTERM, after what it has at hand, "MODE
// received N deleted N". An error ends it with status 1.
#include "consumer.hpp"

#include <cinttypes>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>

#include "ending.hpp"

namespace {

namespace bench = cache_invalidate::bench;

const std::map<std::string, std::uint64_t (*)(const bench::Task&)> kModes = {
    {"listen", bench::relay_notifications},
    {"notify", bench::relay_notifications},
    {"tcn", bench::relay_notifications},
    {"outbox", bench::empty_outbox},
    {"pgq", bench::consume_pgq},
    {"wal2json", bench::stream_wal2json},
};

void say_ready() {
  std::puts("ready");
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) try {
  const auto mode = kModes.find(count == 4 ? words[1] : "");
  if (mode == kModes.end())
    throw std::runtime_error("usage: consumer listen|notify|tcn|outbox|pgq|wal2json CONNINFO REDIS_SOCKET");
  bench::expect_end();
  bench::Deleter deleter(words[3]);
  const std::uint64_t received = mode->second({words[1], words[2], deleter, say_ready});
  std::printf("%s received %" PRIu64 " deleted %" PRIu64 "\n", words[1], received, deleter.deleted());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "consumer: %s\n", error.what());
  return 1;
}
