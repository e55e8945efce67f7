#include "core/snapshot.hpp"

#include <algorithm>

namespace cache_invalidate::core {

bool XidSnapshot::contains(std::uint64_t xid) const {
  if (xid < xmin) return true;
  if (xid >= xmax) return false;
  return !std::binary_search(in_progress.begin(), in_progress.end(), xid);
}

}  // namespace cache_invalidate::core
