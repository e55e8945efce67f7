// Deletes keys in a Redis as an application does that has many: one pipeline, up to 1000 keys a command.
// What fails throws std::runtime_error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct redisContext;

namespace cache_invalidate::bench {

class Deleter {
 public:
  explicit Deleter(const std::string& socket);

  void add(std::string key) { keys_.push_back(std::move(key)); }
  std::size_t size() const { return keys_.size(); }
  // When it returns, all that was added is deleted.
  void flush();
  // Of how many keys the Redis answered; most were not there.
  std::uint64_t deleted() const { return deleted_; }

 private:
  struct Free {
    void operator()(redisContext* context) const noexcept;
  };

  void append(std::size_t begin, std::size_t end);

  std::unique_ptr<redisContext, Free> context_;
  std::vector<std::string> keys_;
  std::vector<const char*> words_;
  std::vector<std::size_t> lengths_;
  std::uint64_t deleted_ = 0;
};

}  // namespace cache_invalidate::bench
