// SecondDeletes: what was acknowledged and is to be deleted once more after a delay, in sets, oldest first. One set
// at a time is on its way; a lost connection sends it again from the beginning.
//
// Times are microseconds and rise. What comes shortly after a set joins it, and of too many keys the oldest sets fold
// with what came later: deleting later than promised is right, deleting earlier is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

#include "core/byte_set.hpp"

namespace cache_invalidate::core {

class SecondDeletes {
 public:
  static constexpr std::int64_t kNever = INT64_MAX;

  // Begins a set, or goes on with the last one, if that is not put off by more than `slack` altogether. Everything up to
  // `settled` does not depend on it.
  void begin(std::uint64_t settled, std::int64_t due, std::int64_t slack);
  // To the set that was begun last. Throws std::bad_alloc.
  void add(std::string_view key);
  // The set is complete. When more than `most` keys wait, the oldest sets that are not on their way are folded.
  void end(std::size_t most);

  // Keys that wait, those on their way included.
  std::size_t size() const { return size_; }
  bool empty() const { return sets_.empty(); }
  // When the oldest set is due; kNever: there is none, or it is on its way.
  std::int64_t due() const { return sets_.empty() || on_its_way_ ? kNever : sets_.front().due; }
  // Everything up to here has been deleted twice, given that it was deleted once up to `acknowledged`.
  std::uint64_t settled(std::uint64_t acknowledged) const {
    return sets_.empty() || acknowledged < sets_.front().settled ? acknowledged : sets_.front().settled;
  }

  // The oldest set goes, if it is due.
  void depart(std::int64_t now);
  // Of the set on its way; 0: none is.
  std::uint32_t in_flight() const { return on_its_way_ ? sets_.front().keys.size() : 0; }
  std::string_view key(std::uint32_t index) const { return sets_.front().keys.bytes(index); }
  // All of the set on its way was acknowledged.
  void arrived();
  void put_back() { on_its_way_ = false; }

 private:
  struct Set {
    ByteSet keys;
    std::uint64_t settled;
    std::int64_t due;
    std::int64_t first_due;  // of the oldest that joined it
  };

  void fold(std::size_t first);

  std::deque<Set> sets_;
  std::size_t size_ = 0;
  bool on_its_way_ = false;
};

}  // namespace cache_invalidate::core
