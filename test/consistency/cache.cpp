#include "cache.hpp"

#include <hiredis/hiredis.h>
#include <poll.h>

#include <cstdlib>

namespace cache_invalidate::consistency {

namespace {

constexpr timeval kTimeout{0, 500000};

Answer convert(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_NIL:
      return {Answer::Kind::nil, {}, 0, {}};
    case REDIS_REPLY_ERROR:
      return {Answer::Kind::error, std::string(reply.str, reply.len), 0, {}};
    case REDIS_REPLY_INTEGER:
      return {Answer::Kind::number, {}, reply.integer, {}};
    case REDIS_REPLY_ARRAY: {
      Answer answer{Answer::Kind::list, {}, 0, {}};
      for (std::size_t i = 0; i < reply.elements; ++i) answer.list.push_back(convert(*reply.element[i]));
      return answer;
    }
    default:
      return {Answer::Kind::text, std::string(reply.str, reply.len), 0, {}};
  }
}

}  // namespace

std::string text_of(const CachedValue& value) {
  return std::to_string(value.version) + " " + std::to_string(value.fill);
}

std::optional<CachedValue> parse_value(const std::string& text) {
  char* end = nullptr;
  CachedValue value;
  value.version = std::strtoll(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != ' ') return std::nullopt;
  value.fill = std::strtoll(end + 1, &end, 10);
  if (*end != '\0') return std::nullopt;
  return value;
}

void Cache::Free::operator()(redisContext* context) const noexcept {
  redisFree(context);
}

bool Cache::connect() {
  const std::size_t colon = address_.rfind(':');
  const bool is_path = address_.front() == '/' || colon == std::string::npos;
  redisContext* context = is_path
                              ? redisConnectUnixWithTimeout(address_.c_str(), kTimeout)
                              : redisConnectWithTimeout(address_.substr(0, colon).c_str(),
                                                        std::atoi(address_.c_str() + colon + 1), kTimeout);
  context_.reset(context);
  if (context == nullptr || context->err != 0 || redisSetTimeout(context, kTimeout) != REDIS_OK)
    context_.reset();
  return is_connected();
}

Answer Cache::take() {
  void* reply = nullptr;
  if (!context_ || redisGetReply(context_.get(), &reply) != REDIS_OK || reply == nullptr) {
    context_.reset();
    return {};
  }
  Answer answer = convert(*static_cast<redisReply*>(reply));
  freeReplyObject(reply);
  return answer;
}

Answer Cache::command(const std::vector<std::string>& words) {
  return pipeline({words}).front();
}

std::vector<Answer> Cache::pipeline(const std::vector<std::vector<std::string>>& commands) {
  for (const std::vector<std::string>& words : commands) {
    std::vector<const char*> values;
    std::vector<std::size_t> lengths;
    for (const std::string& word : words) {
      values.push_back(word.data());
      lengths.push_back(word.size());
    }
    if (context_)
      redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), values.data(), lengths.data());
  }
  std::vector<Answer> answers;
  while (answers.size() < commands.size()) answers.push_back(take());
  return answers;
}

Answer Cache::next(int wait_ms) {
  if (!context_) return {};
  for (int attempt = 0; attempt < 2; ++attempt) {
    void* reply = nullptr;
    if (redisReaderGetReply(context_->reader, &reply) != REDIS_OK) break;
    if (reply != nullptr) {
      Answer answer = convert(*static_cast<redisReply*>(reply));
      freeReplyObject(reply);
      return answer;
    }
    pollfd wanted{context_->fd, POLLIN, 0};
    if (attempt > 0 || poll(&wanted, 1, wait_ms) == 0) return {Answer::Kind::nil, {}, 0, {}};
    if (redisBufferRead(context_.get()) != REDIS_OK) break;
  }
  context_.reset();
  return {};
}

}  // namespace cache_invalidate::consistency
