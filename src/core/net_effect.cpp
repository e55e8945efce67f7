#include "core/net_effect.hpp"

namespace cache_invalidate::core {

void NetEffect::add(Operation next, bool exact) {
  exists_now_ = next != Operation::remove;
  exact_ = exact_ && exact;
  mixed_ = mixed_ || last_ != next;
  last_ = next;
}

Operation NetEffect::operation() const {
  if (last_ >= Operation::test) return last_;  // not of a record
  if (!exact_) return mixed_ ? Operation::update : last_;
  if (!exists_now_) return Operation::remove;
  return existed_before_ ? Operation::update : Operation::insert;
}

}  // namespace cache_invalidate::core
