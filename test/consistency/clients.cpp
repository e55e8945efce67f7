// The clients of the consistency checker: writers that change rows, readers that read them through caches by
// several protocols, and who listens to the messages. All note in --log what the judge needs.
//
//   clients --prepare --database CONNINFO [--second-redis ...]      makes tables and triggers
//   clients --seed N --log DIR --database CONNINFO --redis ADDRESS  runs until SIGTERM
//           [--writers N] [--readers N of each protocol] [--pause-ms N] [--second-redis ADDRESS] [--replica
//           FILE]
//   clients --settle --log DIR --database CONNINFO                  ends what is still prepared
//
// An ADDRESS is the path of a socket, or HOST:PORT. The server "cache" is that of --redis, with lease_prefix
// 'lease:' and publish_channel 'consistency'; "cache2" that of --second-redis, with second_delete_after and
// the same lease_prefix. The --replica file holds the conninfo of a standby and is read at each connection;
// there may be none for a while.
//
// --pause-ms is the most that a client rests between operations, at random: the machine should not be busier
// than the servers can bear, or it is their lag that is measured.
//
// While it runs, connections are made again whenever they are lost. At SIGHUP the conninfo is read from
// DIR/database. DIR/progress says "commits N reads N fills N", about four times a second: reads are those
// that a cache answered.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "arguments.hpp"
#include "reader.hpp"
#include "schema.hpp"
#include "settle.hpp"
#include "shared.hpp"
#include "subscription.hpp"
#include "writer.hpp"

namespace cache_invalidate::consistency {
namespace {

constexpr int kClientsOfRun = 1000;
constexpr Nanoseconds kLastMessages = 10 * kSecond;
constexpr timespec kProgress{0, 250000000};

// 0, 1, 2, ... for each start with the same folder, so that no number is given twice.
int next_run(const std::string& folder) {
  int run = 0;
  while (std::filesystem::exists(folder + "/run" + std::to_string(run))) ++run;
  std::ofstream(folder + "/run" + std::to_string(run)) << "\n";
  return run;
}

// Whole, or not at all.
void write_progress(const Shared& shared) {
  const std::string file = shared.options.log + "/progress";
  std::ofstream(file + ".new") << "commits " << shared.commits << " reads " << shared.reads << " fills "
                               << shared.fills << "\n";
  std::filesystem::rename(file + ".new", file);
}

void read_database(Shared& shared) {
  std::ifstream in(shared.options.log + "/database");
  std::string conninfo;
  if (std::getline(in, conninfo) && !conninfo.empty()) shared.set_database(conninfo);
}

// Until it is told to end. The signals are blocked in all threads.
void serve_signals(Shared& shared, const sigset_t& signals) {
  for (;;) {
    const int signal = sigtimedwait(&signals, nullptr, &kProgress);
    write_progress(shared);
    if (signal == SIGHUP) read_database(shared);
    if (signal == SIGTERM || signal == SIGINT) return;
  }
}

// With the message of the last change they have all others.
void end_listeners(Shared& shared, const sigset_t& signals) {
  const Nanoseconds begin = now();
  shared.last_version = change_last(shared.options, shared.database());
  while (shared.last_version != kNever && shared.listeners > 0 && now() - begin < kLastMessages) {
    sigtimedwait(&signals, nullptr, &kProgress);
  }
  shared.silence();
}

std::vector<Protocol> protocols_of(const Options& options) {
  std::vector<Protocol> protocols{Protocol::plain, Protocol::leased, Protocol::local};
  if (!options.second_redis.empty()) protocols.push_back(Protocol::second);
  if (!options.second_redis.empty() && !options.replica.empty()) protocols.push_back(Protocol::replica);
  return protocols;
}

// A thread that cannot go on ends the program: its logs would lack something.
std::thread start(std::function<void()> work) {
  return std::thread([work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "clients: %s\n", error.what());
      std::_Exit(1);
    }
  });
}

void run(Options options) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // The servers under test go first: where time is short it is the clients that shall be slow.
  if (nice(5) == -1) std::fprintf(stderr, "clients: cannot be nice\n");
  options.run = next_run(options.log);
  Shared shared(options);
  std::vector<std::thread> listeners, threads;
  for (const Channel channel : {Channel::notify, Channel::publish}) {
    ++shared.listeners;
    listeners.push_back(start([&shared, channel] { note_messages(shared, channel); }));
  }
  int number = options.run * kClientsOfRun;
  for (int i = 0; i < options.writers; ++i) {
    threads.push_back(start([&shared, client = ++number] { Writer(shared, client).run(); }));
  }
  for (const Protocol protocol : protocols_of(options)) {
    for (int i = 0; i < options.readers; ++i) {
      threads.push_back(
          start([&shared, protocol, i, client = ++number] { Reader(shared, protocol, client, i).run(); }));
    }
  }
  serve_signals(shared, signals);
  shared.end();
  for (std::thread& thread : threads) thread.join();
  end_listeners(shared, signals);
  for (std::thread& thread : listeners) thread.join();
  write_progress(shared);
}

Options options_of(const Arguments& arguments) {
  Options options;
  options.seed = static_cast<std::uint64_t>(arguments.number("seed"));
  options.writers = static_cast<int>(arguments.number("writers"));
  options.readers = static_cast<int>(arguments.number("readers"));
  options.pause = arguments.number("pause-ms") * kMillisecond;
  options.database = arguments.required("database");
  options.redis = arguments.text("redis");
  options.second_redis = arguments.text("second-redis");
  options.replica = arguments.text("replica");
  options.log = arguments.text("log");
  return options;
}

void main_of(int count, char** words) {
  const Arguments arguments(count, words,
                            {{"seed", "1"},
                             {"writers", "4"},
                             {"readers", "2"},
                             {"pause-ms", "20"},
                             {"log", ""},
                             {"database", ""},
                             {"redis", ""},
                             {"second-redis", ""},
                             {"replica", ""}},
                            {{"prepare", true}, {"settle", true}});
  const Options options = options_of(arguments);
  if (arguments.has("prepare")) return prepare(options);
  arguments.required("log");
  if (arguments.has("settle")) return settle(options);
  arguments.required("redis");
  run(options);
}

}  // namespace
}  // namespace cache_invalidate::consistency

int main(int count, char** words) {
  try {
    cache_invalidate::consistency::main_of(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "clients: %s\n", error.what());
    return 1;
  }
  return 0;
}
