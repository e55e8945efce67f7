// NetEffect: what the changes of one record come to, taken one after the other: insert and update are an INSERT, update
// and delete a DELETE, delete and insert an UPDATE, insert and delete nothing. A change may itself be the net effect of
// several.
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
  NetEffect(Operation first, bool exact)
      : existed_before_(first != Operation::insert), exists_now_(first != Operation::remove), exact_(exact), last_(first) {}
  void add(Operation next, bool exact);

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
};

}  // namespace cache_invalidate::core
