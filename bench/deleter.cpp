#include "deleter.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <stdexcept>

namespace cache_invalidate::bench {

namespace {

constexpr std::size_t kKeysOfCommand = 1000;

}  // namespace

void Deleter::Free::operator()(redisContext* context) const noexcept {
  redisFree(context);
}

Deleter::Deleter(const std::string& socket) : context_(redisConnectUnix(socket.c_str())) {
  if (!context_) throw std::runtime_error("no memory for the Redis");
  if (context_->err != 0) throw std::runtime_error(socket + ": " + context_->errstr);
}

void Deleter::append(std::size_t begin, std::size_t end) {
  words_.assign(1, "UNLINK");
  lengths_.assign(1, 6);
  for (std::size_t i = begin; i < end; ++i) {
    words_.push_back(keys_[i].data());
    lengths_.push_back(keys_[i].size());
  }
  const int count = static_cast<int>(words_.size());
  if (redisAppendCommandArgv(context_.get(), count, words_.data(), lengths_.data()) != REDIS_OK)
    throw std::runtime_error(std::string("redis: ") + context_->errstr);
}

void Deleter::flush() {
  std::size_t commands = 0;
  for (std::size_t begin = 0; begin < keys_.size(); begin += kKeysOfCommand, ++commands)
    append(begin, std::min(begin + kKeysOfCommand, keys_.size()));
  for (; commands > 0; --commands) {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK || reply == nullptr)
      throw std::runtime_error(std::string("redis: ") + context_->errstr);
    const auto* answer = static_cast<const redisReply*>(reply);
    const std::string error = answer->type == REDIS_REPLY_ERROR ? std::string(answer->str, answer->len) : "";
    freeReplyObject(reply);
    if (!error.empty()) throw std::runtime_error("redis: " + error);
  }
  deleted_ += keys_.size();
  keys_.clear();
}

}  // namespace cache_invalidate::bench
