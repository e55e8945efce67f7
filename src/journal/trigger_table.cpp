#include "journal/trigger_table.hpp"

namespace cache_invalidate::journal {
namespace {

template <typename Visit>
void for_each_counter(TriggerCounts& counts, Visit visit) {
  for (pg_atomic_uint64* counter : {&counts.changes, &counts.items, &counts.widened, &counts.last_fired}) visit(counter);
}

void init_counts(TriggerCounts& counts) {
  pg_atomic_init_u32(&counts.trigger, InvalidOid);
  for_each_counter(counts, [](pg_atomic_uint64* counter) { pg_atomic_init_u64(counter, 0); });
}

void clear_counts(TriggerCounts& counts) {
  pg_atomic_write_u32(&counts.trigger, InvalidOid);
  pg_memory_barrier();
  for_each_counter(counts, [](pg_atomic_uint64* counter) { pg_atomic_write_u64(counter, 0); });
}

}  // namespace

void TriggerTable::init() {
  pg_atomic_init_u32(&used, 0);
  for (TriggerCounts& counts : place) init_counts(counts);
  init_counts(others);
}

std::uint32_t TriggerTable::find(Oid trigger, std::uint32_t hint) noexcept {
  if (hint < kPlaces && pg_atomic_read_u32(&place[hint].trigger) == trigger) return hint;
  // Fibonacci hashing: numbers of triggers come in runs.
  std::uint32_t at = (trigger * 2654435769u) >> 22;
  static_assert(kPlaces == 1u << 10, "ten bits of the hash are used");
  for (std::uint32_t tried = 0; tried < kPlaces; ++tried, at = (at + 1) % kPlaces) {
    uint32 found = pg_atomic_read_u32(&place[at].trigger);
    if (found == InvalidOid && pg_atomic_compare_exchange_u32(&place[at].trigger, &found, trigger)) {
      pg_atomic_fetch_add_u32(&used, 1);
      return at;
    }
    if (found == trigger) return at;
  }
  return kNoPlace;
}

void TriggerTable::clear() noexcept {
  for (TriggerCounts& counts : place) clear_counts(counts);
  clear_counts(others);
  pg_atomic_write_u32(&used, 0);
}

TriggerTable::Sums TriggerTable::sums() noexcept {
  Sums sums{pg_atomic_read_u64(&others.changes), pg_atomic_read_u64(&others.items)};
  for (TriggerCounts& counts : place) {
    sums.changes += pg_atomic_read_u64(&counts.changes);
    sums.items += pg_atomic_read_u64(&counts.items);
  }
  return sums;
}

}  // namespace cache_invalidate::journal
