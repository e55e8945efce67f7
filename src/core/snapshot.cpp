#include "core/snapshot.hpp"

#include <algorithm>

namespace cache_invalidate::core {

bool XidSnapshot::contains(std::uint64_t xid) const {
  if (xid < xmin) return true;
  if (xid >= xmax) return false;
  return !std::binary_search(in_progress.begin(), in_progress.end(), xid);
}

bool XidSnapshot::is_within(const XidSnapshot& other) const {
  if (xmax > other.xmax) return false;
  return std::none_of(other.in_progress.begin(), other.in_progress.end(), [this](std::uint64_t xid) { return contains(xid); });
}

}  // namespace cache_invalidate::core
