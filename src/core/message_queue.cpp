#include "core/message_queue.hpp"

#include <algorithm>
#include <limits>
#include <new>

#include "core/net_effect.hpp"

namespace cache_invalidate::core {
namespace {

void encode_identity(std::string& out, const Shape& shape, Operation operation, std::string_view id, std::string_view fields) {
  out.clear();
  out.push_back(static_cast<char>(shape.format));
  out.push_back(static_cast<char>(shape.has_channel));
  out.push_back(static_cast<char>(operation));
  put_bytes(out, shape.channel);
  put_bytes(out, shape.name);
  put_bytes(out, shape.payload);
  put_varint(out, shape.servers.size());
  for (const std::uint32_t server : shape.servers) put_varint(out, server);
  put_bytes(out, id);
  put_bytes(out, fields);
}

// One record in the parts of one transaction.
struct Record {
  NetEffect effect;
  std::size_t newest;      // its place
  std::uint64_t position;  // the highest: the keys of all parts go before the message
  std::uint64_t oldest;
};

}  // namespace

void MessageQueue::add(const Shape& shape, Operation operation, std::string_view id, std::string_view fields,
                       BatchHeader origin, std::uint64_t position) {
  append({{shape, operation, std::string(id), std::string(fields), origin}, position, position});
  try {
    enlist(queue_.size() - 1);
  } catch (...) {
    queue_.pop_back();
    throw;
  }
  bytes_ += queue_.back().message.text_size();
  is_disordered_ = is_disordered_ || comes_late(queue_.back());
}

void MessageQueue::append(Waiting waiting) {
  trim();
  waiting.latest = waiting.message.origin.time;
  if (!queue_.empty()) waiting.latest = std::max(waiting.latest, queue_.back().latest);
  queue_.push_back(std::move(waiting));
}

// Does a newer message of the record wait before the last one? Most that come late come only just late, and speak of something else.
bool MessageQueue::comes_late(const Waiting& last) const {
  const std::size_t end = queue_.size() - 1;
  for (std::size_t place = end; place > head_ && queue_[place - 1].latest > last.message.origin.time; --place) {
    const Message& before = queue_[place - 1].message;
    if (before.origin.time > last.message.origin.time && before.id == last.message.id && before.shape.name == last.message.shape.name) return true;
    if (end - place >= kFarthestLook) return true;
  }
  return false;
}

void MessageQueue::note_part(BatchHeader part) {
  std::int64_t& last = part_times_.emplace(part.xid, part.time).first->second;
  last = std::max(last, part.time);
}

void MessageQueue::add_part(Message message, std::uint32_t shape_number, bool exact, std::uint64_t position) {
  append({std::move(message), position, position, false, true, exact, shape_number});
  bytes_ += queue_.back().message.text_size();
  ++new_parts_;
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
    release(older);
  }
  newest = place;
}

// Its place stays until it is trimmed, its text goes at once: few places may hold much.
void MessageQueue::release(Waiting& waiting) {
  bytes_ -= waiting.message.text_size();
  const Message gone = std::move(waiting.message);
}

const MessageQueue::Waiting* MessageQueue::front() {
  while (head_ < queue_.size() && queue_[head_].folded) ++head_;
  if (head_ < queue_.size()) return &queue_[head_];
  reset_if_drained();
  return nullptr;
}

MessageQueue::Waiting MessageQueue::pop() {
  bytes_ -= queue_[head_].message.text_size();
  Waiting taken = std::move(queue_[head_]);
  ++head_;
  ++done_;
  reset_if_drained();
  return taken;
}

void MessageQueue::clear() {
  queue_.clear();
  head_ = done_ = bytes_ = new_parts_ = 0;
  is_disordered_ = false;
  identities_.clear();
  newest_.clear();
  part_times_.clear();
}

void MessageQueue::reset_if_drained() {
  if (head_ < queue_.size()) return;
  queue_.clear();
  head_ = done_ = 0;
  is_disordered_ = false;
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
    for (std::size_t place = 0; place < queue_.size(); ++place) {
      if (!queue_[place].is_part) enlist(place);
    }
  } catch (const std::bad_alloc&) {
    identities_.clear();
    newest_.clear();
  }
}

void MessageQueue::sort_by_time() {
  arrange();
  if (part_times_.empty()) return;
  settle_parts();
  arrange();
}

void MessageQueue::put_in_order() {
  if (is_disordered_) arrange();
}

void MessageQueue::fold_early() {
  // Where little folds, trying again and again would cost more than it gains.
  if (new_parts_ > 0 && new_parts_ >= size() / 4) arrange();
}

void MessageQueue::arrange() {
  drop_done();
  is_disordered_ = false;
  std::stable_sort(queue_.begin(), queue_.end(), [](const Waiting& a, const Waiting& b) {
    return a.message.origin.time < b.message.origin.time;
  });
  if (new_parts_ > 0) fold_parts();
  for (Waiting& waiting : queue_) waiting.latest = waiting.message.origin.time;
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (auto waiting = queue_.rbegin(); waiting != queue_.rend(); ++waiting) {
    oldest = std::min(oldest, waiting->oldest);
    waiting->oldest = oldest;
  }
  reindex();
}

// Folds the messages of parts, which stand in the order of time: the last one of a record stays. One that came and
// went is forgotten: what may still come of it begins with an insert again. Without memory each part is said.
void MessageQueue::fold_parts() {
  ByteSet known;  // transaction, shape number, id
  std::vector<Record> records;
  std::vector<std::uint32_t> of;  // the record of each message of a part
  try {
    for (std::size_t place = 0; place < queue_.size(); ++place) {
      const Waiting& waiting = queue_[place];
      if (!waiting.is_part) continue;
      scratch_.clear();
      put_varint(scratch_, waiting.message.origin.xid);
      put_varint(scratch_, waiting.shape_number);
      scratch_ += waiting.message.id;
      const ByteSet::Added record = known.add(0, scratch_);
      of.push_back(record.index);
      if (record.inserted) {
        records.push_back({NetEffect(waiting.message.operation, waiting.exact), place, waiting.position, waiting.oldest});
      } else {
        Record& same = records[record.index];
        same.effect.add(waiting.message.operation, waiting.exact);
        same.newest = place;
        same.position = std::max(same.position, waiting.position);
        same.oldest = std::min(same.oldest, waiting.oldest);
      }
    }
  } catch (const std::bad_alloc&) {
    return;
  }
  auto next = of.begin();
  for (std::size_t place = 0; place < queue_.size(); ++place) {
    Waiting& waiting = queue_[place];
    if (!waiting.is_part) continue;
    const Record& record = records[*next++];
    waiting.folded = place != record.newest || record.effect.is_nothing();
    if (waiting.folded) {
      ++folded_;
      release(waiting);
    }
    waiting.message.operation = record.effect.operation();
    waiting.exact = record.effect.is_exact();
    waiting.position = record.position;
    waiting.oldest = record.oldest;
  }
  drop_done();
  new_parts_ = 0;
}

// Every part has come: what is left are messages like others, said when the transaction began to commit.
void MessageQueue::settle_parts() {
  for (Waiting& waiting : queue_) {
    if (!waiting.is_part) continue;
    waiting.is_part = false;
    const auto last = part_times_.find(waiting.message.origin.xid);
    if (last != part_times_.end()) waiting.message.origin.time = last->second;
  }
  part_times_.clear();
}

}  // namespace cache_invalidate::core
