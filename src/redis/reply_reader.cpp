#include "redis/reply_reader.hpp"

#include <hiredis/hiredis.h>

#include <charconv>
#include <new>
#include <string>
#include <utility>

namespace cache_invalidate::redis {
namespace {

constexpr const char* kNotRedis = "the peer does not speak the Redis protocol";
constexpr const char* kTooLarge = "the server sent a reply that is too large";
constexpr const char* kTooDeep = "the server sent a reply that is nested too deeply";

ReplyReader::Progress& progress_of(const redisReadTask* task) {
  return *static_cast<ReplyReader::Progress*>(task->privdata);
}

void* refuse(const redisReadTask* task, const char* problem) {
  progress_of(task).problem = problem;
  return nullptr;
}

// The callbacks of hiredis' reader. A root is allocated and belongs to the reader until it is complete;
// everything below lives in its parent's vector, which grows only while no element of it is being filled.
// A null result breaks the reader; no exception may cross C code.
void* add(const redisReadTask* task, Reply&& reply) noexcept {
  ReplyReader::Progress& progress = progress_of(task);
  if (++progress.elements > ReplyReader::kMaxElements) return refuse(task, kTooLarge);
  try {
    if (task->parent == nullptr) return new Reply(std::move(reply));
    auto& siblings = static_cast<Reply*>(task->parent->obj)->elements;
    return &siblings.emplace_back(std::move(reply));
  } catch (const std::bad_alloc&) {
    progress.out_of_memory = true;
    return nullptr;
  }
}

void* create_string(const redisReadTask* task, char* bytes, std::size_t length) noexcept {
  Reply reply;
  switch (task->type) {
    case REDIS_REPLY_STATUS:
      reply.kind = Reply::Kind::status;
      break;
    case REDIS_REPLY_ERROR:
      reply.kind = Reply::Kind::error;
      break;
    case REDIS_REPLY_STRING:
      reply.kind = Reply::Kind::bulk;
      break;
    default:
      return refuse(task, kNotRedis);  // a type of protocol version 3, which we did not ask for
  }
  try {
    reply.text.assign(bytes, length);
  } catch (const std::bad_alloc&) {
    progress_of(task).out_of_memory = true;
    return nullptr;
  }
  return add(task, std::move(reply));
}

// A template because the type of the count changed between versions of hiredis.
template <typename Count>
void* create_array(const redisReadTask* task, Count count) noexcept {
  if (task->type != REDIS_REPLY_ARRAY) return refuse(task, kNotRedis);
  if (static_cast<std::size_t>(count) > ReplyReader::kMaxElements) return refuse(task, kTooLarge);
  std::size_t depth = 1;
  for (const redisReadTask* outer = task->parent; outer != nullptr; outer = outer->parent) ++depth;
  if (depth > ReplyReader::kMaxDepth) return refuse(task, kTooDeep);
  Reply reply;
  reply.kind = Reply::Kind::array;
  return add(task, std::move(reply));
}

void* create_integer(const redisReadTask* task, long long value) noexcept {
  Reply reply;
  reply.kind = Reply::Kind::integer;
  reply.integer = value;
  return add(task, std::move(reply));
}

void* create_nil(const redisReadTask* task) noexcept {
  return add(task, Reply());
}

#if HIREDIS_MAJOR >= 1
void* create_double(const redisReadTask* task, double, char*, std::size_t) noexcept {
  return refuse(task, kNotRedis);
}

void* create_bool(const redisReadTask* task, int) noexcept {
  return refuse(task, kNotRedis);
}
#endif

void free_root(void* root) noexcept {
  delete static_cast<Reply*>(root);
}

redisReplyObjectFunctions make_functions() {
  redisReplyObjectFunctions functions = {};
  functions.createString = create_string;
  functions.createArray = create_array;
  functions.createInteger = create_integer;
  functions.createNil = create_nil;
#if HIREDIS_MAJOR >= 1
  functions.createDouble = create_double;
  functions.createBool = create_bool;
#endif
  functions.freeObject = free_root;
  return functions;
}

int type_of_unfinished(const redisReader& reader) {
  if (reader.ridx < 0) return -1;
#if HIREDIS_MAJOR >= 1
  return reader.task[reader.ridx]->type;
#else
  return reader.rstack[reader.ridx].type;
#endif
}

redisReplyObjectFunctions reply_functions = make_functions();  // hiredis takes a pointer to non-const

}  // namespace

void ReplyReader::FreeReader::operator()(redisReader* reader) const noexcept {
  redisReaderFree(reader);
}

ReplyReader::ReplyReader() : reader_(redisReaderCreateWithFunctions(&reply_functions)) {
  if (!reader_) throw std::bad_alloc();
  reader_->privdata = &progress_;
}

void ReplyReader::feed(std::string_view bytes) {
  if (problem_ != nullptr) return;
  unfinished_bytes_ += bytes.size();
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) throw std::bad_alloc();
}

std::optional<ReplyReader::Parsed> ReplyReader::next() {
  if (problem_ != nullptr) return std::nullopt;
  void* root = nullptr;
  const int result = redisReaderGetReply(reader_.get(), &root);
  const std::unique_ptr<Reply> reply(static_cast<Reply*>(root));
  if (result != REDIS_OK) {
    const bool out_of_memory = progress_.problem == nullptr && reader_->err == REDIS_ERR_OOM;
    if (progress_.out_of_memory || out_of_memory) throw std::bad_alloc();
    problem_ = progress_.problem != nullptr ? progress_.problem : kNotRedis;
    return std::nullopt;
  }
  if (!reply) {
    problem_ = find_problem_in_unfinished();
    return std::nullopt;
  }
  const std::size_t left = reader_->len - reader_->pos;
  Parsed parsed{std::move(*reply), unfinished_bytes_ - left + progress_.elements * sizeof(Reply)};
  unfinished_bytes_ = left;
  progress_.elements = 0;
  return parsed;
}

// hiredis waits for the end of whatever was begun, and searches a line for its end from the start each
// time; so what has begun to arrive is judged before it is complete. The type of an item is consumed as
// soon as it is there: what is left in the buffer begins behind it.
const char* ReplyReader::find_problem_in_unfinished() const {
  if (unfinished_bytes_ > kMaxReplyBytes) return kTooLarge;
  if (reader_->len == reader_->pos) return nullptr;
  const std::string_view item(reader_->buf + reader_->pos, reader_->len - reader_->pos);
  if (item.size() > kMaxLineBytes && item.substr(0, kMaxLineBytes).find('\n') == std::string_view::npos) {
    return kTooLarge;
  }
  if (type_of_unfinished(*reader_) != REDIS_REPLY_STRING) return nullptr;
  long long length = 0;
  const auto problem = std::from_chars(item.data(), item.data() + item.size(), length).ec;
  const bool too_large =
      problem == std::errc::result_out_of_range || length > static_cast<long long>(kMaxReplyBytes);
  return too_large ? kTooLarge : nullptr;
}

}  // namespace cache_invalidate::redis
