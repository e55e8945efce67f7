// Replies out of a stream of bytes: hiredis' reader, with limits.
//
// The server is taken for hostile: the size of a reply, the length of a line, the number and the depth of
// elements are bounded, and whatever breaks a bound, or is not the Redis protocol (version 2), breaks the
// reader for good. Throws only for memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "redis/reply.hpp"

struct redisReader;

namespace cache_invalidate::redis {

class ReplyReader {
 public:
  static constexpr std::size_t kMaxReplyBytes = 16 * 1024 * 1024;
  static constexpr std::size_t kMaxLineBytes = 16 * 1024;
  static constexpr std::size_t kMaxElements = 256 * 1024;
  static constexpr std::size_t kMaxDepth = 7;

  struct Parsed {
    Reply reply;
    std::size_t memory = 0;  // about how much it occupies
  };

  // What hiredis' callbacks count while one reply is built.
  struct Progress {
    std::size_t elements = 0;
    const char* problem = nullptr;
    bool out_of_memory = false;
  };

  ReplyReader();
  ReplyReader(const ReplyReader&) = delete;  // hiredis holds a pointer to progress_
  ReplyReader& operator=(const ReplyReader&) = delete;

  void feed(std::string_view bytes);
  // The next complete reply. None: more bytes are needed, or the reader is broken.
  std::optional<Parsed> next();
  // Null as long as the stream makes sense, else why not, in our own words.
  const char* problem() const { return problem_; }

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const noexcept;
  };

  const char* find_problem_in_unfinished() const;

  Progress progress_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  std::size_t unfinished_bytes_ = 0;
  const char* problem_ = nullptr;
};

}  // namespace cache_invalidate::redis
