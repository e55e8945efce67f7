// What each trigger gave, counted in shared memory by the transactions that fired it.
//
// An open-addressing table of fixed size. A place is claimed by compare-and-swap and kept until the table is cleared;
// there is no lock, and nothing here allocates, waits or fails. When all places are taken other triggers are counted together.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "pg/postgres.hpp"

namespace cache_invalidate::journal {

struct alignas(64) TriggerCounts {  // one line of the processors' caches
  pg_atomic_uint32 trigger;     // its OID; InvalidOid: free
  pg_atomic_uint64 changes;     // rows it was fired for, and changes of the whole table
  pg_atomic_uint64 items;       // that were left of them when they were folded
  pg_atomic_uint64 widened;     // transactions in which something of it was widened
  pg_atomic_uint64 last_fired;  // a TimestampTz: end of the last such transaction; 0: none
};

struct TriggerTable {
  static constexpr std::uint32_t kPlaces = 1024;
  static constexpr std::uint32_t kNoPlace = ~std::uint32_t{0};

  pg_atomic_uint32 used;
  TriggerCounts place[kPlaces];
  TriggerCounts others;  // of triggers that found no place

  void init();

  // The number of the trigger's place, claimed if need be; kNoPlace: all are taken. `hint`: what it was last time.
  std::uint32_t find(Oid trigger, std::uint32_t hint) noexcept;

  struct Sums {
    std::uint64_t changes;
    std::uint64_t items;
  };
  // Of all triggers.
  Sums sums() noexcept;

  // A transaction that is just adding may add to a place that is free by then, and so to the trigger that claims it next:
  // that is told from nothing else, and harms nobody.
  void clear() noexcept;
};

}  // namespace cache_invalidate::journal
