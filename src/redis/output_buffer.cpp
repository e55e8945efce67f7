#include "redis/output_buffer.hpp"

#include <string.h>  // explicit_bzero

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cache_invalidate::redis {
namespace {

constexpr std::size_t kFirstCapacity = 16 * 1024;
// A buffer that a burst made larger than this is given back once it is empty.
constexpr std::size_t kKeptCapacity = 1024 * 1024;
// Type, the digits of a 64-bit number, CR LF; and the CR LF behind a value.
constexpr std::size_t kHeaderBytes = 1 + 20 + 2;
constexpr std::size_t kBulkOverhead = kHeaderBytes + 2;

// memcpy must not see the null pointer of an empty view.
char* copy(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

char* copy_header(char* to, char type, std::size_t count) {
  *to = type;
  to = std::to_chars(to + 1, to + kHeaderBytes, count).ptr;
  return copy(to, "\r\n");
}

}  // namespace

void OutputBuffer::reserve(std::size_t bytes) {
  if (capacity_ - end_ >= bytes) return;
  const std::size_t used = size();
  // Moving at most half of the buffer to win at least half keeps the cost per byte constant.
  if (begin_ >= capacity_ / 2 && capacity_ - used >= bytes) {
    std::memmove(data_.get(), data_.get() + begin_, used);
  } else {
    const std::size_t capacity = std::max({kFirstCapacity, capacity_ * 2, used + bytes});
    std::unique_ptr<char[]> larger(new char[capacity]);
    copy(larger.get(), unsent());
    data_ = std::move(larger);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = used;
}

void OutputBuffer::write_count(char type, std::size_t count) {
  reserve(kHeaderBytes);
  end_ = static_cast<std::size_t>(copy_header(data_.get() + end_, type, count) - data_.get());
}

void OutputBuffer::write_bulk(std::string_view first, std::string_view second, std::string_view third) {
  const std::size_t length = first.size() + second.size() + third.size();
  reserve(length + kBulkOverhead);
  char* to = copy_header(data_.get() + end_, '$', length);
  to = copy(to, first);
  to = copy(to, second);
  to = copy(to, third);
  to = copy(to, "\r\n");
  end_ = static_cast<std::size_t>(to - data_.get());
}

void OutputBuffer::append_command(const std::string_view* args, std::size_t count) {
  write_count('*', count);
  for (std::size_t i = 0; i < count; ++i) write_bulk({}, {}, args[i]);
}

void OutputBuffer::append_keys(std::string_view name, const std::string_view* keys, std::size_t count,
                               std::string_view key_prefix, std::string_view lease_prefix) {
  const bool leases = !lease_prefix.empty();
  write_count('*', (leases ? 2 * count : count) + 1);
  write_bulk({}, {}, name);
  for (std::size_t i = 0; i < count; ++i) {
    if (leases) write_bulk(key_prefix, lease_prefix, keys[i]);
    write_bulk(key_prefix, {}, keys[i]);
  }
}

void OutputBuffer::consume(std::size_t bytes) {
  begin_ += bytes;
  if (empty()) clear();
}

void OutputBuffer::clear() noexcept {
  begin_ = 0;
  end_ = 0;
  if (capacity_ <= kKeptCapacity) return;
  data_.reset();
  capacity_ = 0;
}

void OutputBuffer::wipe() noexcept {
  if (data_) explicit_bzero(data_.get(), capacity_);
  clear();
}

}  // namespace cache_invalidate::redis
