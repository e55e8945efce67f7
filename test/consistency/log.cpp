#include "log.hpp"

#include <time.h>

#include <filesystem>
#include <stdexcept>

namespace cache_invalidate::consistency {

const char* name_of(Protocol protocol) {
  static constexpr const char* kNames[kProtocols] = {"plain", "leased", "second", "replica", "local"};
  return kNames[static_cast<int>(protocol)];
}

const char* name_of(Kind kind) {
  static constexpr const char* kNames[kKinds] = {"window",    "hot",      "churn", "move",
                                                 "partition", "truncate", "bulk"};
  return kNames[static_cast<int>(kind)];
}

Nanoseconds now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

Log::Log(const std::string& folder, const std::string& name)
    : file_(std::fopen((folder + "/" + name + ".log").c_str(), "ab")) {
  if (!file_) throw std::runtime_error("cannot write " + folder + "/" + name + ".log");
}

void Log::add(const Record& record) {
  if (std::fwrite(&record, sizeof record, 1, file_.get()) != 1)
    throw std::runtime_error("cannot write a log");
}

void Log::flush() {
  if (std::fflush(file_.get()) != 0) throw std::runtime_error("cannot write a log");
}

void read_logs(const std::string& folder, const std::function<void(const Record&)>& take) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".log") continue;
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(entry.path().c_str(), "rb"));
    if (!file) throw std::runtime_error("cannot read " + entry.path().string());
    Record record;
    while (std::fread(&record, sizeof record, 1, file.get()) == 1) take(record);
  }
}

}  // namespace cache_invalidate::consistency
