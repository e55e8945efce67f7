// 64-bit transaction ids, by which everything here is compared.
#pragma once

#include <cstdint>

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

// The id of a transaction that is running, prepared or recent: within 2^31 of the next one.
inline std::uint64_t widen_xid(TransactionId xid, FullTransactionId next) {
  const auto distance = static_cast<std::int32_t>(xid - XidFromFullTransactionId(next));
  return U64FromFullTransactionId(next) + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
}

}  // namespace cache_invalidate::pg
