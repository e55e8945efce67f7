// ChangeSet: what one transaction has made stale so far, folded, and able to take back a savepoint.
//
// Keys are a set. Changes of one record fold into their net effect. Levels are the server's transaction
// nesting levels: 1 is the transaction itself, each savepoint adds one. Marks are made only for levels
// that add something, so that a savepoint which touches nothing costs nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/batch.hpp"
#include "core/byte_set.hpp"
#include "core/net_effect.hpp"

namespace cache_invalidate::core {

// A template of a rule, by a number of the caller's choice: what comes of it is counted together.
using Source = std::uint32_t;
inline constexpr Source kNoSource = 0;      // what is not counted
inline constexpr Source kErrorSource = 1;   // the error records; the caller's own begin behind it

// Of a change of a record.
struct Circumstances {
  // The id names one record. If it does not, one that came and one that went may be two, and both say that something
  // changed.
  bool exact = true;
  Source source = kNoSource;
  std::uint32_t order = 0;  // in which the changes were made, should they come out of turn
};

class ChangeSet {
 public:
  // Each may throw std::bad_alloc or std::length_error; what was there before stays as it was.
  void add_key(std::uint32_t scope, std::string_view key, int level, Source source = kNoSource);
  void add_pattern(std::uint32_t scope, std::string_view glob, int level, Source source = kNoSource);
  // `fields` is a JSON fragment ("\"a\":1,\"b\":2") that replaces the one of an earlier change of the record.
  void add_change(std::uint32_t shape, std::string_view id, Operation operation, std::string_view fields, int level,
                  const Circumstances& circumstances = {});
  // Beyond a hundred unlike ones the rest is not kept: they say the same in other words.
  void add_error(const ErrorRecord& error, int level);
  void add_probe(std::string_view probe, int level);

  // Has the transaction more than `limit` distinct items, and is this source one of those that it is due to? The
  // largest always is. Then its owner adds what stands for all that it could give, without a source, and calls
  // widen(): what the source gave is not written any more, and more of it need not be added.
  bool is_crowded(Source source, std::uint32_t limit) const {
    return counted_ > limit && source < counts_.size() && counts_[source] >= counted_ / crowd_.size();
  }
  void widen(Source source, int level);
  bool is_widened(Source source) const;
  bool has_widened() const { return !widened_.empty(); }

  // How many items of the source are to be written, or were; of one that is widened, what stands for it. For statistics, when
  // everything is written: asked again it is none.
  struct Given {
    std::uint32_t items;
    bool widened;
  };
  Given take_given(Source source) noexcept;

  // A savepoint of this level was rolled back: forgets what was added at it and below.
  void rollback(int level);
  // A savepoint of this level was released: what it added belongs to the level above.
  void release(int level);

  bool empty() const { return items_.empty(); }
  std::uint32_t size() const { return items_.size(); }
  // Memory in use, in bytes.
  std::size_t memory() const;

  // What was added at the innermost level may be written out early and forgotten, since it lives and dies
  // with that level: the number of the first such item.
  std::uint32_t innermost_start() const { return marks_.empty() ? 0 : marks_.back().items; }
  // The same for the level that is running now, which may be deeper than the innermost that added something:
  // then it has nothing to write, and size() is the answer.
  std::uint32_t start_of(int level) const {
    const int innermost = marks_.empty() ? 1 : marks_.back().level;
    return level <= innermost ? innermost_start() : size();
  }
  void write(BatchWriter& out, std::uint32_t from) const;
  void forget(std::uint32_t from);

  void clear();

 private:
  enum class Kind : std::uint32_t { key = 0, change = 1, error = 2, probe = 3, pattern = 4 };

  struct State {
    NetEffect effect;
    std::int32_t saved_level = 0;      // the innermost level that holds an undo of this state
    std::uint32_t fields_offset = 0;
    std::uint32_t fields_size = 0;
    std::uint32_t fields_room = 0;
    Source source = kNoSource;
  };
  static constexpr std::size_t kLeastCompacted = 64 * 1024;

  struct Undo {
    std::uint32_t index;
    State state;
  };
  struct Mark {
    int level;
    std::uint32_t items;
    std::size_t undo;
    std::size_t fields;
  };
  struct Widened {
    Source source;
    int level;  // of what stands for it
  };

  static std::uint32_t tag_of(Kind kind, std::uint32_t owner) { return static_cast<std::uint32_t>(kind) << 28 | owner; }
  void enter(int level);
  std::uint32_t add(Kind kind, std::uint32_t owner, std::string_view bytes, int level, Source source, bool& inserted);
  void uncount(State& state);
  void cut(std::uint32_t size);
  void drop(Source source);
  void clear_items();
  void save(std::uint32_t index);
  void set_fields(std::uint32_t index, std::string_view fields);
  void append_fields(std::uint32_t index, std::string_view fields);
  void compact();

  ByteSet items_;
  std::vector<State> states_;  // one an item
  std::string fields_;
  std::size_t compact_at_ = kLeastCompacted;  // the size of fields_ at which it is worth while
  std::vector<Undo> undo_;
  std::vector<Mark> marks_;    // levels above 1 that added something, outermost first
  // Items added, also those that were written out since; an item that is added again then counts again.
  std::vector<std::uint32_t> counts_;  // by source
  std::vector<Source> crowd_;          // those that were ever counted in this transaction
  std::uint32_t counted_ = 0;          // of all of them that are not widened, without errors
  std::vector<Widened> widened_;
};

}  // namespace cache_invalidate::core
