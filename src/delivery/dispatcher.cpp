#include "delivery/dispatcher.hpp"

#include <algorithm>

#include "delivery/signals.hpp"
#include "pg/clock.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kMillisecond = 1000;
constexpr TimestampTz kErrorInterval = 60000 * kMillisecond;
constexpr std::size_t kMostErrorsKnown = 10000;
constexpr int kMostFailedWrites = 5;
constexpr std::int64_t kLeastRetry = 1000;  // milliseconds: whoever holds a lock needs time, the first retry waits too
constexpr std::size_t kSliceKeys = 500000;  // more than a slice of the journal can hold

bool has_already(const core::XidSnapshot& delivered, const std::vector<std::uint64_t>* recent, std::uint64_t xid) {
  if (delivered.contains(xid)) return true;
  return recent != nullptr && std::binary_search(recent->begin(), recent->end(), xid);
}

TimestampTz retry_time(core::Backoff& backoff, TimestampTz now) {
  return now + std::max(backoff.next(static_cast<std::uint32_t>(now)), kLeastRetry) * kMillisecond;
}

journal::TargetStatus* claim_status(journal::Board& board, Oid server) {
  journal::TargetStatus* free = nullptr;
  for (journal::TargetStatus& status : board.target) {
    if (status.server == server) return &status;
    if (free == nullptr && !OidIsValid(status.server)) free = &status;
  }
  if (free == nullptr) return nullptr;
  for (pg_atomic_uint64* counter : {&free->keys, &free->commands, &free->bytes, &free->connects, &free->failures, &free->pending}) {
    pg_atomic_write_u64(counter, 0);
  }
  free->changed = free->acknowledged = 0;
  free->server = server;
  return free;
}

}  // namespace

Target* Dispatcher::find(Oid server) {
  for (const auto& target : targets_) {
    if (target->server() == server) return target.get();
  }
  return nullptr;
}

void Dispatcher::set_targets(const std::vector<TargetDefinition>& definitions, const core::XidSnapshot& base) {
  std::vector<std::unique_ptr<Target>> next;
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
      next.back()->start_behind(base);
      continue;
    }
    const bool was_enabled = (*known)->enabled();
    if (!((*known)->definition() == definition)) (*known)->redefine(definition);
    if (!was_enabled && (*known)->enabled()) (*known)->start_behind(base);
    next.push_back(std::move(*known));
  }
  targets_.swap(next);
  lacks_servers_ = false;
}

// A server that the catalogs, read again, still did not know was dropped. The first time it is named says nothing.
bool Dispatcher::is_gone(Oid server) {
  if (std::find(unknown_.begin(), unknown_.end(), server) != unknown_.end()) return true;
  if (unknown_.size() >= kMostErrorsKnown) unknown_.clear();
  unknown_.push_back(server);
  return false;
}

void Dispatcher::begin_batch(TimestampTz now) {
  ++position_;
  batch_time_ = now;
  pg_atomic_fetch_add_u64(&board_.counters.batches, 1);
}

void Dispatcher::owe_key(const core::BatchReader::Item& item, std::uint64_t xid, const ScanFilter* filter) {
  const bool is_pattern = item.kind == core::BatchReader::Kind::pattern;
  pg_atomic_fetch_add_u64(is_pattern ? &board_.counters.patterns : &board_.counters.keys, 1);
  for (const std::uint32_t server : *item.scope) {
    Target* target = find(server);
    if (target == nullptr && !is_gone(server)) lacks_servers_ = true;
    if (target == nullptr || !target->enabled() || target->is_detached()) continue;
    if (filter != nullptr) {
      if (filter->only_target != 0 && filter->only_target != server) continue;
      if (has_already(target->taken, filter->recent, xid)) continue;
    }
    if (is_pattern) {
      target->owe_pattern(item.bytes, position_, batch_time_);
    } else {
      target->owe_key(item.bytes, position_, batch_time_);
    }
    const std::size_t room = static_cast<std::size_t>(settings::max_backlog_keys) + (target->is_reading ? kSliceKeys : 0);
    if (target->collected() > room) target->detach();
  }
}

bool Dispatcher::take_chunk(std::string_view chunk, TimestampTz committed, const ScanFilter* filter) {
  core::Result<core::BatchReader> opened = core::BatchReader::open(chunk);
  if (!opened.ok()) return false;
  core::BatchReader& reader = opened.value();
  const core::BatchHeader header = reader.header();
  const bool signals = filter == nullptr ||
                       (filter->only_target == 0 && !has_already(filter->signals, filter->recent, header.xid));
  if (signals && header.part) messages_.note_part(header);
  core::BatchReader::Item item;
  while (reader.next(item)) {
    if (item.kind == core::BatchReader::Kind::key || item.kind == core::BatchReader::Kind::pattern) {
      owe_key(item, header.xid, filter);
      continue;
    }
    if (!signals) continue;
    if (messages_.empty() && errors_.empty()) waiting_since_ = batch_time_;
    if (item.kind == core::BatchReader::Kind::message) {
      pg_atomic_fetch_add_u64(&board_.counters.messages, 1);
      if (header.part) {
        messages_.add_part({*item.shape, item.operation, std::string(item.id), std::string(item.fields), header},
                           item.shape_number, item.exact, position_);
      } else {
        messages_.add(*item.shape, item.operation, item.id, item.fields, header, position_);
      }
    } else if (item.kind == core::BatchReader::Kind::error) {
      if (is_repeated(item.error)) continue;
      errors_.push_back({std::string(item.error.table), std::string(item.error.operation), std::string(item.error.message),
                         std::string(item.error.context), position_, header.time});
      errors_bytes_ += errors_.back().text_size();
    } else if (item.kind == core::BatchReader::Kind::probe) {
      start_probe(item.bytes, committed);
    }
  }
  return !reader.damaged();
}

// A rule that is broken fails with every row: one line a minute says as much.
bool Dispatcher::is_repeated(const core::ErrorRecord& error) {
  std::string identity(error.context);
  identity.append(1, '\0').append(error.operation).append(1, '\0').append(error.message);
  if (logged_.size() >= kMostErrorsKnown) logged_.clear();
  TimestampTz& last = logged_[identity];
  if (last != 0 && batch_time_ < last + kErrorInterval) return true;
  last = batch_time_;
  return false;
}

void Dispatcher::end_batch() {
  for (const auto& target : targets_) target->note_position(position_);
}

void Dispatcher::advance(TimestampTz now) {
  for (const auto& target : targets_) target->advance(now);
  advance_probes(now);
}

// Messages up to here may be sent: the caches that are up have acknowledged the deletes.
std::uint64_t Dispatcher::gate(TimestampTz now) const {
  std::uint64_t result = position_;
  for (const auto& target : targets_) {
    if (target->is_waited_for(now)) result = std::min(result, target->acknowledged());
  }
  return result;
}

// When at the latest a target that holds messages up is no longer waited for.
TimestampTz Dispatcher::gate_opens(TimestampTz now) const {
  TimestampTz latest = now;
  for (const auto& target : targets_) {
    if (target->is_waited_for(now)) latest = std::max(latest, target->waited_until());
  }
  return latest;
}

bool Dispatcher::signals_are_due(TimestampTz now) const {
  return messages_.size() >= static_cast<std::size_t>(settings::batch_size) || is_full() ||
         now >= waiting_since_ + settings::batch_window * kMillisecond;
}

bool Dispatcher::signal(TimestampTz now) {
  // What folds makes room to read on.
  if (held_ && is_full()) messages_.fold_early();
  if ((held_ && !is_full()) || now < signals_retry_at_) return false;
  const std::uint64_t up_to = gate(now);
  const core::MessageQueue::Waiting* first = messages_.front();
  const bool message_due = !sending_.empty() || (first != nullptr && first->position <= up_to && signals_are_due(now));
  const bool sent = message_due && send_messages(up_to, now);
  if (!errors_.empty() && now >= errors_retry_at_) write_errors(now);
  signalled_ = std::max(signalled_, oldest_unsent() - 1);
  return sent;
}

// The position of the oldest message or error that has not left.
std::uint64_t Dispatcher::oldest_unsent() {
  std::uint64_t oldest = position_ + 1;
  if (const core::MessageQueue::Waiting* first = messages_.front()) oldest = std::min(oldest, first->oldest);
  for (const core::MessageQueue::Waiting& waiting : sending_) oldest = std::min(oldest, waiting.oldest);
  for (const LoggedError& error : errors_) oldest = std::min(oldest, error.position);
  return oldest;
}

bool Dispatcher::send_messages(std::uint64_t up_to, TimestampTz now) {
  const auto most = static_cast<std::size_t>(settings::batch_size);
  for (const auto* next = messages_.front(); next != nullptr && next->position <= up_to && sending_.size() < most;
       next = messages_.front()) {
    sending_.push_back(*next);
    sending_bytes_ += next->message.text_size();
    messages_.pop();
  }
  std::uint64_t sent = 0;
  const bool committed = run_signal_transaction([&](SignalTransaction& transaction) {
    for (const core::MessageQueue::Waiting& waiting : sending_) sent += transaction.notify(waiting.message) ? 1 : 0;
  });
  if (!committed) {
    signals_retry_at_ = retry_time(signals_backoff_, now);
    return false;
  }
  sending_.clear();
  sending_bytes_ = 0;
  signals_backoff_.reset();
  pg_atomic_fetch_add_u64(&board_.counters.notified, sent);
  return true;
}

// Apart from the messages, which neither fail nor wait because of a row that cannot be written.
void Dispatcher::write_errors(TimestampTz now) {
  const bool committed = run_signal_transaction([this](SignalTransaction& transaction) {
    for (const LoggedError& e : errors_) transaction.log_error(e.table, e.operation, e.message, e.context, e.time);
  });
  if (!committed && ++failed_writes_ < kMostFailedWrites) {
    errors_retry_at_ = retry_time(errors_backoff_, now);
    return;
  }
  if (!committed) {
    ereport(LOG, (errmsg("cache_invalidate: could not write %zu rows to trigger_error_log, giving up", errors_.size())));
  } else {
    pg_atomic_fetch_add_u64(&board_.counters.errors, errors_.size());
  }
  failed_writes_ = 0;
  errors_backoff_.reset();
  errors_.clear();
  errors_bytes_ = 0;
}

void Dispatcher::hold_signals(bool hold) {
  if (held_ && !hold) messages_.sort_by_time();
  held_ = hold;
}

bool Dispatcher::is_delivered(std::uint64_t position) const {
  if (signalled_ < position) return false;
  return std::all_of(targets_.begin(), targets_.end(), [position](const std::unique_ptr<Target>& target) {
    return !target->enabled() || (!target->is_detached() && target->acknowledged() >= position);
  });
}

void Dispatcher::start_probe(std::string_view bytes, TimestampTz committed) {
  core::ByteReader reader(bytes);
  const std::uint64_t id = reader.fixed64();
  if (!reader.ok()) return;
  SpinLockAcquire(&board_.lock);
  for (journal::ProbeStatus& probe : board_.probe) {
    if (probe.id == id) probe.committed = committed;
  }
  SpinLockRelease(&board_.lock);
  probes_.push_back({id, position_});
}

void Dispatcher::advance_probes(TimestampTz now) {
  if (probes_.empty()) return;
  const auto is_done = [this, now](const Probe& waiting) {
    bool open = signalled_ < waiting.position;
    SpinLockAcquire(&board_.lock);
    for (journal::ProbeStatus& probe : board_.probe) {
      if (probe.id != waiting.id) continue;
      if (!open && probe.notified == 0) probe.notified = now;
      for (const auto& target : targets_) {
        for (auto& answer : probe.target) {
          if (answer.server != target->server() || answer.acknowledged != 0) continue;
          if (!target->is_detached() && target->acknowledged() >= waiting.position) {
            answer.acknowledged = now;
          } else {
            open = true;
          }
        }
      }
    }
    SpinLockRelease(&board_.lock);
    return !open;
  };
  probes_.erase(std::remove_if(probes_.begin(), probes_.end(), is_done), probes_.end());
  ConditionVariableBroadcast(&board_.probes_changed);
}

TimestampTz Dispatcher::deadline(TimestampTz now) {
  TimestampTz earliest = DT_NOEND;
  for (const auto& target : targets_) earliest = std::min(earliest, target->deadline());
  if (!errors_.empty()) earliest = std::min(earliest, std::max(errors_retry_at_, signals_retry_at_));
  if (!messages_.empty() || !sending_.empty()) {
    // Due once its window is over; blocked by a target until that has answered or signal_timeout is over.
    const TimestampTz window = waiting_since_ + settings::batch_window * kMillisecond;
    const bool blocked = messages_.front() != nullptr && messages_.front()->position > gate(now);
    earliest = std::min(earliest, std::max(window, blocked ? gate_opens(now) : signals_retry_at_));
  }
  return earliest;
}

void Dispatcher::publish_status() {
  for (const auto& target : targets_) target->publish_status();
}

}  // namespace cache_invalidate::delivery
