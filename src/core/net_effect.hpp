// NetEffect: what the changes of one record come to: insert and update are an INSERT, update and delete a DELETE, delete and
// insert an UPDATE, insert and delete nothing. A change may itself be the net effect of several.
//
// Changes may come out of turn: a trigger that changes the row again and fires before ours lets us see the last
// change first. So each has an order, in which they were made; of equal ones the later to come is the later.
//
// An id that is not exact may stand for several records: then one that came and one that went are two. Changes of
// one kind stay what they are, others are an UPDATE, and there is never nothing.
#pragma once

#include "core/batch.hpp"

namespace cache_invalidate::core {

class NetEffect {
 public:
  NetEffect() = default;
  // `exact`: the id names one record.
  NetEffect(Operation only, bool exact, std::uint32_t order = 0)
      : existed_before_(only != Operation::insert), exists_now_(only != Operation::remove), exact_(exact), last_(only),
        first_order_(order), last_order_(order) {}
  // True if it is the last of all so far.
  bool add(Operation operation, bool exact, std::uint32_t order = 0);

  // The record came and went.
  bool is_nothing() const { return exact_ && !existed_before_ && !exists_now_; }
  Operation operation() const;
  bool is_exact() const { return exact_; }

 private:
  bool existed_before_ = false;
  bool exists_now_ = false;
  bool exact_ = true;
  bool mixed_ = false;  // of unlike operations
  Operation last_ = Operation::update;
  std::uint32_t first_order_ = 0;
  std::uint32_t last_order_ = 0;
};

}  // namespace cache_invalidate::core
