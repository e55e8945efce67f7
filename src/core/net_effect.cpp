#include "core/net_effect.hpp"

namespace cache_invalidate::core {

bool NetEffect::add(Operation operation, bool exact, std::uint32_t order) {
  exact_ = exact_ && exact;
  mixed_ = mixed_ || last_ != operation;
  if (order < first_order_) {
    first_order_ = order;
    existed_before_ = operation != Operation::insert;
  }
  if (order < last_order_) return false;
  last_order_ = order;
  exists_now_ = operation != Operation::remove;
  last_ = operation;
  return true;
}

Operation NetEffect::operation() const {
  if (last_ >= Operation::test) return last_;  // not of a record
  if (!exact_) return mixed_ ? Operation::update : last_;
  if (!exists_now_) return Operation::remove;
  return existed_before_ ? Operation::update : Operation::insert;
}

}  // namespace cache_invalidate::core
