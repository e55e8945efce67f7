// A connection to a Redis with short timeouts: after one the stream is in doubt, and the connection is
// closed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log.hpp"

struct redisContext;

namespace cache_invalidate::consistency {

// What a protocol has stored for a row: a version, and the fill that put it there.
struct CachedValue {
  std::int64_t version = 0;
  std::int64_t fill = 0;
};
std::string text_of(const CachedValue& value);
std::optional<CachedValue> parse_value(const std::string& text);

struct Answer {
  enum class Kind { lost, nil, error, text, number, list };
  Kind kind = Kind::lost;  // `lost`: whether it was done is unknown
  std::string text;
  std::int64_t number = 0;
  std::vector<Answer> list;

  bool is_text(const char* wanted) const { return kind == Kind::text && text == wanted; }
};

class Cache {
 public:
  // The path of a socket, or HOST:PORT.
  explicit Cache(std::string address) : address_(std::move(address)) {}

  bool is_connected() const { return context_ != nullptr; }
  bool connect();
  void close() { context_.reset(); }
  Answer command(const std::vector<std::string>& words);
  // All at once; as many answers, of which the last ones may be lost.
  std::vector<Answer> pipeline(const std::vector<std::vector<std::string>>& commands);
  // The next message of a subscription; `nil`: none within the time.
  Answer next(int wait_ms);

 private:
  struct Free {
    void operator()(redisContext* context) const noexcept;
  };

  Answer take();

  std::string address_;
  std::unique_ptr<redisContext, Free> context_;
};

}  // namespace cache_invalidate::consistency
