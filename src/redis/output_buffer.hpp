// Commands on their way to the server, in the Redis protocol, as counted bytes: no value can become a
// command, a second argument or anything else.
//
// One contiguous buffer: appending and consuming take amortised constant time per byte, and nothing is
// allocated per argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace cache_invalidate::redis {

class OutputBuffer {
 public:
  // Makes room, so that appending up to so many bytes moves nothing.
  void reserve(std::size_t bytes);

  void append_command(const std::string_view* args, std::size_t count);
  // `name` followed by every key, each with `key_prefix` before it. With a `lease_prefix` the lease of each key,
  // `key_prefix` + `lease_prefix` + key, stands before the key: one command takes both.
  void append_keys(std::string_view name, const std::string_view* keys, std::size_t count,
                   std::string_view key_prefix, std::string_view lease_prefix);

  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  std::string_view unsent() const { return {data_.get() + begin_, size()}; }
  void consume(std::size_t bytes);

  void clear() noexcept;
  // Clears, and overwrites what the buffer held: for a password that was sent.
  void wipe() noexcept;

 private:
  void write_count(char type, std::size_t count);
  void write_bulk(std::string_view first, std::string_view second, std::string_view third);

  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace cache_invalidate::redis
