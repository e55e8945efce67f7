// What the clients note and the judge reads: records of one size, a file for each thread.
//
// Times are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. A file that was cut in
// the middle of a record is read up to there.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

namespace cache_invalidate::consistency {

using Nanoseconds = std::int64_t;

inline constexpr Nanoseconds kNever = INT64_MAX;
inline constexpr Nanoseconds kSecond = 1000000000;
inline constexpr Nanoseconds kMillisecond = 1000000;

// How a reader uses its cache, in which keys of its own.
enum class Protocol : std::uint8_t {
  plain,    // GET, SELECT, SET: the positive control
  leased,   // as docs/leases.md has it
  second,   // plain, in a cache whose keys are deleted a second time
  replica,  // leased, in that cache, with rows read from a standby
  local,    // in the client's memory; messages drop what it holds
};
inline constexpr int kProtocols = 5;
const char* name_of(Protocol protocol);

enum class RecordType : std::uint8_t { commit = 1, read, fill, message, gap };

enum class Outcome : std::uint8_t {
  done,     // acknowledged, stored
  unknown,  // the connection was lost before the answer
  refused,  // rolled back on an error; not stored, since the lease was gone
};

// `signal`: a cache asked because a message had just come, whose version is in `middle`.
enum class Source : std::uint8_t { hit, miss, signal };
enum class Channel : std::uint8_t { notify, publish };

// What a message said of its change; a wide one names no record.
enum class Said : std::uint8_t { wide, change, removal };

// The fields that a type does not name are 0.
struct Record {
  RecordType type = RecordType::commit;
  std::uint8_t flag = 0;      // commit, fill: Outcome; read: Source; message: Said
  std::uint8_t protocol = 0;  // read, fill: Protocol; message, gap: Channel
  std::uint8_t kind = 0;      // commit: Kind of the operation; message: 1 if it is of "parted"
  std::uint32_t count = 0;    // commit: rows it changed at least (0: perhaps none)
  std::int64_t number = 0;  // commit: token; read: the fill that stored the value, or 0; fill: its own number
  std::int64_t id = 0;
  std::int64_t version = 0;
  Nanoseconds begin =
      0;  // commit, read: before it was asked for; fill: before SELECT; message: arrival; gap: since when
  Nanoseconds middle = 0;  // fill: before it was stored
  Nanoseconds end = 0;     // commit, read, fill: the answer was there; gap: listening again
};
static_assert(sizeof(Record) == 56);

// Kinds of transactions, as the report counts them.
enum class Kind : std::uint8_t { window, hot, churn, move, partition, truncate, bulk };
inline constexpr int kKinds = 7;
const char* name_of(Kind kind);

Nanoseconds now();

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

// For one thread. Throws std::runtime_error if the file cannot be made or written.
class Log {
 public:
  Log(const std::string& folder, const std::string& name);
  void add(const Record& record);
  void flush();

 private:
  std::unique_ptr<std::FILE, CloseFile> file_;
};

// Each record of all logs of the folder, in no order across files. Throws std::runtime_error.
void read_logs(const std::string& folder, const std::function<void(const Record&)>& take);

}  // namespace cache_invalidate::consistency
