#include "delivery/target.hpp"

#include <algorithm>

#include "pg/settings.hpp"
#include "pg/text.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr TimestampTz kMillisecond = 1000;

// What helps any server, said of this one.
std::string name_server(const std::string& cure, const std::string& server) {
  const std::string blank = "SERVER ...";
  const std::size_t place = cure.find(blank);
  if (place == std::string::npos) return cure;
  return std::string(cure).replace(place, blank.size(), std::string("SERVER ") + quote_identifier(server.c_str()));
}

// An atomic addition costs as much where it adds nothing, and this is done for each server in every cycle.
void add_new(pg_atomic_uint64& sum, std::uint64_t& counted, std::uint64_t now) {
  if (now == counted) return;
  pg_atomic_fetch_add_u64(&sum, static_cast<int64>(now - counted));
  counted = now;
}

}  // namespace

Target::Target(const TargetDefinition& definition, journal::TargetStatus* status) : status_(status) {
  redefine(definition);
}

void Target::redefine(const TargetDefinition& definition) {
  const bool only_renamed = connection_ != nullptr && definition.server_options == definition_.server_options &&
                            definition.mapping_options == definition_.mapping_options;
  definition_ = definition;
  if (only_renamed) return;
  put_back();
  told_.clear();
  told_at_ = 0;
  is_doubted_ = false;
  ready_at_ = 0;
  backoff_.reset();
  retry_at_ = 0;
  counted_bytes_ = 0;
  socket_changed_ = true;
  use_del_ = false;
  connection_.reset();
  // Which server it is, it will tell; which part of it is ours to know.
  const auto part = [this] { return std::to_string(options_.endpoint.database) + ' ' + options_.key_prefix; };
  const std::string part_before = part();
  core::Result<TargetOptions> options = parse_server_options(definition.server_options);
  core::Result<Credentials> credentials = parse_mapping_options(definition.mapping_options);
  options_ = options.ok() ? options.take() : TargetOptions();
  if (part() != part_before) watch_.expect_another();
  if (!options.ok() || !credentials.ok()) {
    // Written by hand into the catalogs, or by an older version.
    options_.enabled = false;
    set_state(journal::TargetState::disabled, options.ok() ? credentials.error().message : options.error().message);
    return;
  }
  redis::ConnectionOptions connection;
  connection.endpoint = options_.endpoint;
  connection.username = credentials.value().username;
  connection.password = credentials.value().password;
  connection.asks_health = true;
  connection_ = std::make_unique<redis::Connection>(std::move(connection));
  if (!options_.enabled) {
    set_state(journal::TargetState::disabled, "option \"enabled\" is false");
  } else {
    set_idle_state();
  }
}

// Not connected, and nothing is wrong.
void Target::set_idle_state() {
  set_state(paused_ ? journal::TargetState::paused : journal::TargetState::connecting, paused_ ? "paused by hand" : "");
}

void Target::retry_now() {
  sweep_after_ = 0;
  backoff_.reset();
  retry_at_ = 0;
}

void Target::set_state(journal::TargetState state, const std::string& problem, const std::string& general_cure) {
  const std::string cure = name_server(general_cure, definition_.name);
  const bool same = state == state_ && problem == problem_;
  state_ = state;
  problem_ = problem;
  trouble_.clear();
  if (status_ != nullptr) {
    if (status_->state != state || status_->changed == 0) status_->changed = GetCurrentTimestamp();
    status_->state = state;
    strlcpy(status_->problem, problem.c_str(), sizeof status_->problem);
    strlcpy(status_->cure, cure.c_str(), sizeof status_->cure);
  }
  if (state == journal::TargetState::down) log_down(cure);
  if (same || state != journal::TargetState::up || !said_down_) return;
  said_down_ = false;
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\" is up again", definition_.name.c_str())));
}

// One line a change of state, not one an attempt: each problem once while it is down. One that is up and down in turns is said to
// be so once a minute.
void Target::log_down(const std::string& cure) {
  constexpr std::size_t kMostTold = 8;
  constexpr TimestampTz kMinute = 60 * 1000 * kMillisecond;
  const bool is_told = std::find(told_.begin(), told_.end(), problem_) != told_.end();
  if (said_down_) {
    if (is_told || told_.size() >= kMostTold) return;
  } else {
    const TimestampTz now = GetCurrentTimestamp();
    if ((is_told || told_.size() >= kMostTold) && now < told_at_ + kMinute) return;
    if (now >= told_at_ + kMinute) told_.clear();
    told_at_ = now;
    said_down_ = true;
  }
  told_.push_back(problem_);
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\" is down: %s", definition_.name.c_str(), pg::from_utf8_anyhow(problem_.c_str())),
                cure.empty() ? 0 : errhint("%s", cure.c_str())));
}

// It is up, but something of what it was sent was given up.
void Target::note_trouble(const std::string& problem, const char* cure) {
  if (trouble_ == problem) return;
  trouble_ = problem;
  if (status_ != nullptr) {
    strlcpy(status_->problem, problem.c_str(), sizeof status_->problem);
    strlcpy(status_->cure, cure == nullptr ? "" : cure, sizeof status_->cure);
  }
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\": %s", definition_.name.c_str(), pg::from_utf8_anyhow(problem.c_str())),
                cure == nullptr ? 0 : errhint("%s", cure)));
}

void Target::owe_key(std::string_view key, std::string_view family, std::uint64_t position, TimestampTz now) {
  if (owed() == 0) owed_since_ = stalled_since_ = now;
  backlog_.add_key(key, family, position, !refuses_scan_);
  keep_within_limit();
}

void Target::owe_pattern(std::string_view glob, std::string_view family, std::uint64_t position, TimestampTz now) {
  if (owed() == 0) owed_since_ = stalled_since_ = now;
  backlog_.add_pattern(glob, family, position);
}

void Target::note_position(std::uint64_t position) { backlog_.note_position(position); }

void Target::keep_within_limit() {
  const std::uint64_t before = backlog_.widened();
  backlog_.keep_within(static_cast<std::size_t>(settings::max_backlog_keys));
  if (backlog_.widened() == before || told_widened_) return;
  told_widened_ = true;
  ereport(LOG, (errmsg("cache_invalidate: server \"%s\" is owed more than max_backlog_keys: keys are widened to patterns",
                       definition_.name.c_str())));
}

void Target::widen_to(std::size_t most_keys) { backlog_.widen_to(most_keys); }

// All that was not acknowledged is owed still.
void Target::put_back() {
  using Kind = Command::Kind;
  const auto is_repeated = [](const Command& c) { return c.kind == Kind::unlink || c.kind == Kind::scan || c.kind == Kind::swept; };
  const auto repeated = std::count_if(commands_.begin(), commands_.end(), is_repeated);
  if (status_ != nullptr) pg_atomic_fetch_add_u64(&status_->retried, static_cast<int64>(repeated));
  commands_.clear();
  backlog_.put_back();
  sweep_.put_back();
  second_keys_.put_back();
  second_sweep_.put_back();
  swept_.clear();
  flight_ = second_flight_ = Flight();
  lose_publishes();
  keep_within_limit();
}

void Target::fall_behind() { detached_ = true; }

void Target::start_behind(const core::XidSnapshot& snapshot) {
  delivered = taken = snapshot;
  fall_behind();
}

bool Target::is_waited_for(TimestampTz now) const {
  if (!options_.enabled || paused_ || state_ == journal::TargetState::down || detached_) return false;
  return now < waited_until();
}

TimestampTz Target::waited_until() const { return stalled_since_ + settings::signal_timeout * kMillisecond; }

void Target::publish_status(TimestampTz oldest_owed, std::uint64_t batches) {
  if (owed() == 0) told_widened_ = false;
  if (status_ == nullptr) return;
  status_->oldest_owed = oldest_owed;
  pg_atomic_write_u64(&status_->batches_owed, batches);
  pg_atomic_write_u64(&status_->pending, backlog_.keys().collecting() + backlog_.keys().in_flight());
  pg_atomic_write_u64(&status_->patterns_pending, backlog_.patterns().collecting() + backlog_.patterns().in_flight());
  add_new(status_->widened, counted_widened_, backlog_.widened());
  const bool sweeps = sweep_.is_running();
  pg_atomic_write_u64(&status_->sweep_scanned, sweeps ? sweep_.scanned() : journal::kUnknown);
  pg_atomic_write_u64(&status_->sweep_total, sweeps && sweep_.total() ? *sweep_.total() : journal::kUnknown);
  status_->reads_journal = detached_;
  if (connection_ != nullptr) add_new(status_->bytes, counted_bytes_, connection_->bytes_sent());
}

}  // namespace cache_invalidate::delivery
