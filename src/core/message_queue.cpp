#include "core/message_queue.hpp"

#include <algorithm>
#include <limits>
#include <new>

namespace cache_invalidate::core {
namespace {

void encode_identity(std::string& out, const Shape& shape, Operation operation, std::string_view id, std::string_view fields) {
  out.clear();
  out.push_back(static_cast<char>(shape.format));
  out.push_back(static_cast<char>(shape.has_channel));
  out.push_back(static_cast<char>(operation));
  put_bytes(out, shape.channel);
  put_bytes(out, shape.name);
  put_bytes(out, id);
  put_bytes(out, fields);
}

}  // namespace

void MessageQueue::add(const Shape& shape, Operation operation, std::string_view id, std::string_view fields,
                       BatchHeader origin, std::uint64_t position) {
  trim();
  queue_.push_back({{shape, operation, std::string(id), std::string(fields), origin}, position, position, false});
  try {
    enlist(queue_.size() - 1);
  } catch (...) {
    queue_.pop_back();
    throw;
  }
}

// Notes the message at `place` under its identity; an equal one that still waits folds into it.
void MessageQueue::enlist(std::size_t place) {
  Message& message = queue_[place].message;
  encode_identity(scratch_, message.shape, message.operation, message.id, message.fields);
  const ByteSet::Added added = identities_.add(0, scratch_);
  if (added.inserted) {
    try {
      newest_.push_back(place);
    } catch (...) {
      identities_.truncate(added.index);
      throw;
    }
    return;
  }
  std::size_t& newest = newest_[added.index];
  // The last place of an identity may have been sent already: then there is nothing to fold.
  if (newest >= head_ && newest < place) {
    Waiting& older = queue_[newest];
    older.folded = true;
    ++folded_;
    ++done_;
    // A scan of the journal may meet the newer one first.
    if (older.message.origin.time > message.origin.time) message.origin = older.message.origin;
  }
  newest = place;
}

const MessageQueue::Waiting* MessageQueue::front() {
  while (head_ < queue_.size() && queue_[head_].folded) ++head_;
  if (head_ < queue_.size()) return &queue_[head_];
  reset_if_drained();
  return nullptr;
}

void MessageQueue::pop() {
  ++head_;
  ++done_;
  reset_if_drained();
}

void MessageQueue::reset_if_drained() {
  if (head_ < queue_.size()) return;
  queue_.clear();
  head_ = done_ = 0;
  identities_.clear();
  newest_.clear();
}

// A queue that never runs dry must not grow.
void MessageQueue::trim() {
  if (done_ < kLeastTrimmed || done_ < queue_.size() / 2) return;
  drop_done();
  reindex();
}

void MessageQueue::drop_done() {
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head_));
  queue_.erase(std::remove_if(queue_.begin(), queue_.end(), [](const Waiting& w) { return w.folded; }), queue_.end());
  head_ = done_ = 0;
}

// Without memory for it, later messages fold less: nothing is lost.
void MessageQueue::reindex() {
  identities_.clear();
  newest_.clear();
  try {
    for (std::size_t place = 0; place < queue_.size(); ++place) enlist(place);
  } catch (const std::bad_alloc&) {
    identities_.clear();
    newest_.clear();
  }
}

void MessageQueue::sort_by_time() {
  drop_done();
  std::stable_sort(queue_.begin(), queue_.end(), [](const Waiting& a, const Waiting& b) {
    return a.message.origin.time < b.message.origin.time;
  });
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (auto waiting = queue_.rbegin(); waiting != queue_.rend(); ++waiting) {
    oldest = std::min(oldest, waiting->oldest);
    waiting->oldest = oldest;
  }
  reindex();
}

}  // namespace cache_invalidate::core
