#include "delivery/dispatcher.hpp"

#include <algorithm>
#include <utility>

#include "pg/clock.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr std::size_t kMostUnknown = 10000;

bool has_already(const core::XidSnapshot& delivered, const Dispatcher::ScanFilter& filter, std::uint64_t xid) {
  return delivered.contains(xid) || (filter.recent != nullptr && filter.recent->count(xid) != 0);
}

bool is_repeated(const Dispatcher::ScanFilter& filter, std::uint64_t xid) {
  return std::any_of(filter.repeats.begin(), filter.repeats.end(),
                     [xid](const core::XidSnapshot& snapshot) { return !snapshot.contains(xid); });
}

journal::TargetStatus* claim_status(journal::Board& board, Oid server) {
  journal::TargetStatus* free = nullptr;
  for (journal::TargetStatus& status : board.target) {
    if (status.server == server) return &status;
    if (free == nullptr && !OidIsValid(status.server)) free = &status;
  }
  if (free == nullptr) return nullptr;
  for (pg_atomic_uint64* counter : {&free->keys, &free->commands, &free->bytes, &free->connects, &free->failures, &free->published, &free->pending,
                                    &free->patterns_pending, &free->widened, &free->retried}) {
    pg_atomic_write_u64(counter, 0);
  }
  pg_atomic_write_u64(&free->sweep_scanned, journal::kUnknown);
  pg_atomic_write_u64(&free->sweep_total, journal::kUnknown);
  free->changed = free->acknowledged = 0;
  free->latency.clear();
  free->server = server;
  return free;
}

}  // namespace

Target* Dispatcher::find(Oid server) {
  const auto is_before = [](const std::unique_ptr<Target>& target, Oid number) { return target->server() < number; };
  const auto found = std::lower_bound(targets_.begin(), targets_.end(), server, is_before);
  return found != targets_.end() && (*found)->server() == server ? found->get() : nullptr;
}

bool Dispatcher::set_targets(const std::vector<TargetDefinition>& definitions, const core::XidSnapshot& before) {
  std::vector<std::unique_ptr<Target>> next;
  const bool has_volatile = gate_.volatile_position() > targets_set_at_;
  bool is_complete = true;
  for (journal::TargetStatus& status : board_.target) {
    const auto is_this = [&](const TargetDefinition& d) { return d.server == status.server; };
    if (std::none_of(definitions.begin(), definitions.end(), is_this)) status.server = InvalidOid;
  }
  for (const TargetDefinition& definition : definitions) {
    const auto same = [&](const std::unique_ptr<Target>& t) { return t != nullptr && t->server() == definition.server; };
    const auto known = std::find_if(targets_.begin(), targets_.end(), same);
    if (known == targets_.end()) {
      next.push_back(std::make_unique<Target>(definition, claim_status(board_, definition.server)));
      next.back()->note_position(position_);
      next.back()->start_behind(before);
      continue;
    }
    const bool was_enabled = (*known)->enabled();
    if (!((*known)->definition() == definition)) (*known)->redefine(definition);
    if (!was_enabled && (*known)->enabled()) {
      (*known)->start_behind(before);
      is_complete = !has_volatile;
    }
    next.push_back(std::move(*known));
  }
  std::sort(next.begin(), next.end(), [](const auto& a, const auto& b) { return a->server() < b->server(); });
  targets_.swap(next);
  lacks_servers_ = false;
  targets_set_at_ = position_;
  return is_complete;
}

void Dispatcher::pause(const Pauses& pauses) {
  for (const auto& target : targets_) target->pause(pauses.all || pauses.contains(target->server()));
  outbox_.pause(pauses.all);
}

// A server that the catalogs, read again, still did not know was dropped. The first time it is named says nothing.
bool Dispatcher::is_gone(Oid server) {
  if (std::find(unknown_.begin(), unknown_.end(), server) != unknown_.end()) return true;
  if (unknown_.size() >= kMostUnknown) unknown_.clear();
  unknown_.push_back(server);
  return false;
}

void Dispatcher::begin_batch(TimestampTz now, bool is_new) {
  ++position_;
  batch_time_ = now;
  is_counted_ = is_new;
  if (is_new) pg_atomic_fetch_add_u64(&board_.counters.batches, 1);
}

void Dispatcher::owe_key(const core::BatchReader::Item& item, std::uint64_t xid, const ScanFilter* filter) {
  const bool is_pattern = item.kind == core::BatchReader::Kind::pattern;
  if (is_counted_) pg_atomic_fetch_add_u64(is_pattern ? &board_.counters.patterns : &board_.counters.keys, 1);
  for (const std::uint32_t server : item.scope->servers) {
    Target* target = find(server);
    if (target == nullptr && !is_gone(server)) lacks_servers_ = true;
    if (target == nullptr || !target->enabled()) continue;
    if (filter != nullptr) {
      // Who is behind has a scan of its own.
      if (filter->only_target == 0 && target->is_detached()) continue;
      if (filter->only_target != 0 && filter->only_target != server) continue;
      if (has_already(target->taken, *filter, xid)) continue;
    }
    begin_to_owe(*target);
    if (is_pattern) {
      target->owe_pattern(item.bytes, item.scope->glob, position_, batch_time_);
    } else {
      target->owe_key(item.bytes, item.scope->glob, position_, batch_time_);
    }
  }
}

// Of the batches before this one it owes nothing more than it was told.
void Dispatcher::begin_to_owe(Target& target) {
  if (std::exchange(target.owes_batch, true)) return;
  target.note_position(position_ - 1);
  owing_.push_back(&target);
}

bool Dispatcher::take_chunk(std::string_view chunk, TimestampTz committed, const ScanFilter* filter) {
  if (!reader_.begin(chunk)) return false;
  const core::BatchHeader header = reader_.header();
  const bool is_new = filter == nullptr || (filter->only_target == 0 && !has_already(filter->base, *filter, header.xid));
  const bool speaks = is_new || (filter->only_target == 0 && is_repeated(*filter, header.xid));
  commit_times_.add(position_, pg::server_time(header.time));
  if (speaks && header.part) outbox_.note_part(header);
  core::BatchReader::Item item;
  while (reader_.next(item)) {
    if (item.kind == core::BatchReader::Kind::key || item.kind == core::BatchReader::Kind::pattern) {
      owe_key(item, header.xid, filter);
    } else if (is_new || (speaks && item.kind == core::BatchReader::Kind::message)) {
      take_item(item, header, committed);
    }
  }
  return !reader_.damaged();
}

void Dispatcher::take_item(const core::BatchReader::Item& item, const core::BatchHeader& header, TimestampTz committed) {
  switch (item.kind) {
    case core::BatchReader::Kind::message:
      outbox_.add(item, header, position_, committed, batch_time_);
      break;
    case core::BatchReader::Kind::error:
      errors_.add(item.error, header.time, position_);
      break;
    case core::BatchReader::Kind::probe:
      probes_.start(item.bytes, position_, committed);
      break;
    case core::BatchReader::Kind::scope:
    case core::BatchReader::Kind::shape:
    case core::BatchReader::Kind::key:
    case core::BatchReader::Kind::pattern:
      break;
  }
}

void Dispatcher::end_batch(TimestampTz committed) {
  for (Target* target : owing_) {
    if (committed != 0) target->begin_latency(position_, committed);
    target->owes_batch = false;
  }
  owing_.clear();
}

void Dispatcher::end_run() {
  for (const auto& target : targets_) target->note_position(position_);
}

Target* Dispatcher::next_to_scan() const {
  const auto found = std::find_if(targets_.begin(), targets_.end(), [](const auto& target) { return target->wants_scan(); });
  return found == targets_.end() ? nullptr : found->get();
}

bool Dispatcher::replay_forgotten(TimestampTz discarded_until) {
  bool is_covered = true;
  for (const auto& target : targets_) {
    const TimestampTz seen = target->contact();
    if (!target->take_forgot() || !target->enabled()) continue;
    const TimestampTz window = settings::replay_window * 1000L;
    // One that was not seen since the worker started may have been replaced before: nothing may be missing.
    const TimestampTz needed = seen == 0 ? 0 : seen - window;
    if (window > 0 && !target->presumed_lost && discarded_until > needed) is_covered = false;
    target->start_behind(core::XidSnapshot());
    gate_.note_behind(*target);
  }
  return is_covered;
}

void Dispatcher::advance(TimestampTz now) {
  for (const auto& target : targets_) {
    target->advance(now);
    target->measure_latency(now);
  }
  gate_.settle(position_, signals_delivered);
  probes_.advance(signalled_, now);
}

bool Dispatcher::signal(TimestampTz now) {
  gate_.settle(position_, signals_delivered);
  const bool sent = outbox_.send(position_, now);
  errors_.write(now);
  const std::uint64_t next = position_ + 1;
  std::uint64_t done = std::min(outbox_.oldest(next), errors_.oldest(next)) - 1;
  for (const auto& target : targets_) done = std::min(done, target->published());
  signalled_ = std::max(signalled_, done);
  return sent;
}

bool Dispatcher::is_delivered(std::uint64_t position) const {
  if (position == 0) return true;
  if (signalled_ < position) return false;
  return std::all_of(targets_.begin(), targets_.end(), [position](const auto& target) { return target->is_done(position); });
}

TimestampTz Dispatcher::deadline(TimestampTz now) {
  TimestampTz earliest = std::min(errors_.deadline(), outbox_.deadline(position_, now));
  for (const auto& target : targets_) earliest = std::min(earliest, target->deadline());
  return earliest;
}

void Dispatcher::publish_status() {
  std::uint64_t everywhere = signalled_;
  for (const auto& target : targets_) {
    const std::uint64_t acknowledged = target->enabled() ? target->acknowledged() : position_;
    target->publish_status(commit_times_.oldest_behind(acknowledged, 0), position_ - acknowledged);
    everywhere = std::min(everywhere, acknowledged);
  }
  board_.oldest_message = commit_times_.oldest_behind(signalled_, 0);
  pg_atomic_write_u64(&board_.batches_unsaid, position_ - signalled_);
  commit_times_.forget(everywhere);
}

}  // namespace cache_invalidate::delivery
