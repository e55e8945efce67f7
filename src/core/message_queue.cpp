#include "core/message_queue.hpp"

#include <algorithm>

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
  encode_identity(scratch_, shape, operation, id, fields);
  Waiting waiting{{shape, operation, std::string(id), std::string(fields), origin}, position, false};
  queue_.push_back(std::move(waiting));
  const std::size_t place = queue_.size() - 1;
  const ByteSet::Added added = identities_.add(0, scratch_);
  if (added.inserted) {
    newest_.push_back(place);
    return;
  }
  std::size_t& newest = newest_[added.index];
  // The last place of an identity may have been sent already: then there is nothing to fold.
  if (newest >= head_ && newest < place) {
    queue_[newest].folded = true;
    ++folded_;
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
  reset_if_drained();
}

void MessageQueue::reset_if_drained() {
  if (head_ < queue_.size()) return;
  queue_.clear();
  head_ = 0;
  identities_.clear();
  newest_.clear();
}

void MessageQueue::sort_by_time() {
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head_));
  head_ = 0;
  queue_.erase(std::remove_if(queue_.begin(), queue_.end(), [](const Waiting& w) { return w.folded; }), queue_.end());
  std::stable_sort(queue_.begin(), queue_.end(), [](const Waiting& a, const Waiting& b) {
    return a.message.origin.time < b.message.origin.time;
  });
  std::vector<Waiting> sorted;
  sorted.swap(queue_);
  identities_.clear();
  newest_.clear();
  for (const Waiting& w : sorted) {
    add(w.message.shape, w.message.operation, w.message.id, w.message.fields, w.message.origin, w.position);
  }
}

}  // namespace cache_invalidate::core
