#include "core/second_deletes.hpp"

#include <utility>

namespace cache_invalidate::core {

void SecondDeletes::begin(std::uint64_t settled, std::int64_t due, std::int64_t slack) {
  const std::size_t fixed = on_its_way_ ? 1 : 0;
  if (sets_.size() > fixed && due <= sets_.back().first_due + slack) {
    sets_.back().due = due;
  } else {
    sets_.push_back({ByteSet(), settled, due, due});
  }
}

void SecondDeletes::add(std::string_view key) {
  if (sets_.back().keys.add(0, key).inserted) ++size_;
}

void SecondDeletes::end(std::size_t most) {
  if (sets_.back().keys.empty()) {
    sets_.pop_back();
    return;
  }
  // One fold a call: the number of sets does not grow, and a key is not moved often.
  const std::size_t first = on_its_way_ ? 1 : 0;
  if (size_ > most && sets_.size() > first + 1) fold(first);
}

// The set takes in the one behind it, and becomes due with that.
void SecondDeletes::fold(std::size_t first) {
  Set& older = sets_[first];
  Set& newer = sets_[first + 1];
  const std::uint32_t before = older.keys.size();
  try {
    for (std::uint32_t i = 0; i < newer.keys.size(); ++i) older.keys.add(0, newer.keys.bytes(i));
  } catch (...) {
    older.keys.truncate(before);
    throw;
  }
  size_ -= before + newer.keys.size() - older.keys.size();  // that were in both
  older.due = newer.due;
  sets_.erase(sets_.begin() + static_cast<std::ptrdiff_t>(first) + 1);
}

void SecondDeletes::depart(std::int64_t now) {
  if (!sets_.empty() && now >= sets_.front().due) on_its_way_ = true;
}

void SecondDeletes::arrived() {
  size_ -= sets_.front().keys.size();
  sets_.pop_front();
  on_its_way_ = false;
}

}  // namespace cache_invalidate::core
