#include "capture/trigger_counts.hpp"

#include <vector>

#include "journal/board.hpp"

namespace cache_invalidate::capture {
namespace {

// What a rule saw at one level of nesting; the savepoints inside have entries of their own, behind it.
struct Touched {
  const CompiledRule* rule;  // nullptr: resets
  int level;
  std::uint32_t outer;       // the rule's entry of an outer level, plus one; 0: none
  std::uint64_t changes;
  std::uint64_t items;       // that no source counts
  bool widened;
};

constexpr std::size_t kKeptEntries = 1024;

// Never destroyed: the server's exit handlers may still run our callbacks. Its levels never fall.
std::vector<Touched>& touched() {
  static auto* instance = new std::vector<Touched>();
  return *instance;
}

Touched& touch(const CompiledRule& rule, int level) {
  std::vector<Touched>& all = touched();
  if (rule.touched == 0 || all[rule.touched - 1].level != level) {
    all.push_back({&rule, level, rule.touched, 0, 0, false});
    rule.touched = static_cast<std::uint32_t>(all.size());
  }
  return all[rule.touched - 1];
}

void merge(Touched& into, const Touched& from) {
  into.changes += from.changes;
  into.items += from.items;
  into.widened = into.widened || from.widened;
}

void add(journal::TriggerCounts& counts, const Touched& entry, TimestampTz now) {
  pg_atomic_fetch_add_u64(&counts.changes, static_cast<int64>(entry.changes));
  if (entry.items != 0) pg_atomic_fetch_add_u64(&counts.items, static_cast<int64>(entry.items));
  if (entry.widened) pg_atomic_fetch_add_u64(&counts.widened, 1);
  pg_atomic_write_u64(&counts.last_fired, static_cast<uint64>(now));
}

}  // namespace

void count_row(const CompiledRule& rule, bool widened, int level) {
  Touched& entry = touch(rule, level);
  ++entry.changes;
  entry.widened = entry.widened || widened;
}

void count_table_change(const CompiledRule& rule, std::uint32_t items, int level) {
  Touched& entry = touch(rule, level);
  ++entry.changes;
  entry.items += items;
  entry.widened = true;
}

void count_reset(int level) {
  std::vector<Touched>& all = touched();
  if (all.empty() || all.back().rule != nullptr || all.back().level != level) all.push_back({nullptr, level, 0, 0, 0, false});
  ++all.back().changes;
}

bool has_counts() noexcept { return !touched().empty(); }

void rollback_counts(int level) noexcept {
  std::vector<Touched>& all = touched();
  for (; !all.empty() && all.back().level >= level; all.pop_back()) {
    if (all.back().rule != nullptr) all.back().rule->touched = all.back().outer;
  }
}

void release_counts(int level) noexcept {
  std::vector<Touched>& all = touched();
  std::size_t first = all.size();
  while (first > 0 && all[first - 1].level >= level) --first;
  std::size_t kept = first;
  for (std::size_t i = first; i < all.size(); ++i) {
    Touched entry = all[i];
    if (entry.outer != 0 && all[entry.outer - 1].level == level - 1) {
      merge(all[entry.outer - 1], entry);
      entry.rule->touched = entry.outer;
      continue;
    }
    entry.level = level - 1;
    all[kept++] = entry;
    if (entry.rule != nullptr) entry.rule->touched = static_cast<std::uint32_t>(kept);
  }
  all.resize(kept);
}

void publish_counts(core::ChangeSet& changes) noexcept {
  std::vector<Touched>& all = touched();
  journal::Board* board = all.empty() ? nullptr : journal::attached_board();
  if (board == nullptr) return;
  const TimestampTz now = GetCurrentTransactionStopTimestamp();
  const bool is_full = pg_atomic_read_u32(&board->triggers.used) >= journal::TriggerTable::kPlaces;
  for (Touched& entry : all) {
    if (entry.rule == nullptr) {
      pg_atomic_fetch_add_u64(&board->counters.resets, static_cast<int64>(entry.changes));
      continue;
    }
    const CompiledRule& rule = *entry.rule;
    for (std::uint32_t i = 0; i < rule.source_count; ++i) {
      const core::ChangeSet::Given given = changes.take_given(rule.first_source + i);
      entry.items += given.items;
      entry.widened = entry.widened || given.widened;
    }
    // A full table is searched once by each rule, and not again before it is cleared.
    if (!is_full || !rule.found_no_place) rule.place = board->triggers.find(rule.counted_as, rule.place);
    rule.found_no_place = rule.place == journal::TriggerTable::kNoPlace;
    add(rule.found_no_place ? board->triggers.others : board->triggers.place[rule.place], entry, now);
  }
}

void forget_counts() noexcept {
  std::vector<Touched>& all = touched();
  for (const Touched& entry : all) {
    if (entry.rule != nullptr) entry.rule->touched = 0;
  }
  all.clear();
  if (all.capacity() > kKeptEntries) all.shrink_to_fit();
}

RootTrigger find_root_trigger(Relation table, const Trigger& trigger) {
  RootTrigger root{trigger.tgoid, RelationGetRelid(table), pstrdup(trigger.tgname)};
  if (!table->rd_rel->relispartition) return root;
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  for (Oid next = root.oid; OidIsValid(next);) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(next));
    SysScanDesc scan = systable_beginscan(catalog, TriggerOidIndexId, true, nullptr, 1, &key);
    const HeapTuple tuple = systable_getnext(scan);
    next = InvalidOid;
    if (HeapTupleIsValid(tuple)) {
      const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
      root = {row->oid, row->tgrelid, pstrdup(NameStr(row->tgname))};
      next = row->tgparentid;
    }
    systable_endscan(scan);
  }
  table_close(catalog, AccessShareLock);
  return root;
}

}  // namespace cache_invalidate::capture
