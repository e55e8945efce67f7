// What the threads of the clients have in common: options, the end, the window's position, and transactions
// that were prepared and wait for any session to end them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "log.hpp"

namespace cache_invalidate::consistency {

struct Options {
  std::uint64_t seed = 1;
  int writers = 4;
  int readers = 2;                        // of each protocol
  Nanoseconds pause = 20 * kMillisecond;  // at most, between operations
  std::string log;
  std::string database;
  std::string redis;
  std::string second_redis;
  std::string replica;  // the file with the standby's conninfo
  int run = 0;          // how often clients were started before with the same logs
};

// Ids by what is done to them. Rows of the first three and of the window are in "item", the others in
// "parted".
inline constexpr std::int64_t kHotFirst = 1, kHotLast = 40;
inline constexpr std::int64_t kChurnFirst = 101, kChurnLast = 400;
inline constexpr std::int64_t kBulkFirst = 10001, kBulkLast = 15000;
inline constexpr std::int64_t kPartedFirst = 20001, kPartedLast = 20600;
inline constexpr std::int64_t kWindowFirst = 1000000;
inline constexpr std::int64_t kWindowOfRun = 100000000;
inline constexpr int kParts = 4;

inline bool is_parted(std::int64_t id) {
  return kPartedFirst <= id && id <= kPartedLast;
}

// The part of a key that names the row, the same in all protocols.
inline std::string name_of_row(std::int64_t id) {
  return (is_parted(id) ? "p:" : "") + std::to_string(id);
}

struct Prepared {
  std::int64_t token = 0;
  bool commits = true;
  Kind kind = Kind::window;
  std::uint32_t rows = 0;
  Nanoseconds begin = kNever;  // when it was first asked to commit
};

inline std::string gid_of(std::int64_t token) {
  return "consistency_" + std::to_string(token);
}

class Shared {
 public:
  explicit Shared(Options given)
      : options(std::move(given)),
        position(kWindowFirst + options.run * kWindowOfRun),
        database_(options.database) {}

  const Options options;
  std::atomic<std::int64_t> position;                        // the next id of the window
  std::atomic<std::int64_t> commits{0}, reads{0}, fills{0};  // so far, for who waits for enough of them

  bool is_over() const { return is_over_; }
  void end() {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    changed_.notify_all();
  }
  // Listeners go on until they have the message of the very last change, if that comes in time.
  bool is_silent() const { return is_silent_; }
  void silence() { is_silent_ = true; }
  std::atomic<std::int64_t> last_version{kNever};
  std::atomic<int> listeners{0};
  // False: it is over. A pause is part of the work: it lets others overtake.
  bool pause(Nanoseconds time) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, std::chrono::nanoseconds(time), [this] { return is_over(); });
  }

  // The database may move: each session looks when it connects, and after generation() has changed.
  std::string database() const {
    const std::lock_guard lock(mutex_);
    return database_;
  }
  void set_database(std::string database) {
    const std::lock_guard lock(mutex_);
    if (database == database_) return;
    database_ = std::move(database);
    ++generation_;
  }
  int generation() const { return generation_; }

  void add_prepared(const Prepared& prepared) {
    const std::lock_guard lock(mutex_);
    prepared_.push_back(prepared);
  }
  std::optional<Prepared> take_prepared() {
    const std::lock_guard lock(mutex_);
    if (prepared_.empty()) return std::nullopt;
    const Prepared prepared = prepared_.front();
    prepared_.pop_front();
    return prepared;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> is_over_{false}, is_silent_{false};
  std::atomic<int> generation_{0};
  std::string database_;
  std::deque<Prepared> prepared_;
};

}  // namespace cache_invalidate::consistency
