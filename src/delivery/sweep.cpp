#include "delivery/sweep.hpp"

#include "core/expand.hpp"

namespace cache_invalidate::delivery {
namespace {

// A slice takes a Redis 7 of two million keys 0.2 ms, whether all or none of them match, and 0.1 ms when most of its table
// is empty; to unlink so many keys 0.1 ms.
constexpr std::uint64_t kSliceKeys = 256;  // looked at by one SCAN
constexpr std::size_t kKeysPerCommand = 128;
// A glob beyond this is not given to a Redis, which may take long to match it.
constexpr std::size_t kMostStars = 4;
constexpr std::size_t kLongestGlob = 1024;

std::size_t common_length(std::string_view one, std::string_view other) {
  const std::size_t most = std::min(one.size(), other.size());
  return static_cast<std::size_t>(std::mismatch(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(most), other.begin()).first -
                                  one.begin());
}

}  // namespace

// One pattern is left to the server. Of several it is asked for what all of them begin with, and they are told apart
// here. The lease of a key may be there before the key, so it is a match of its own.
void Sweep::begin_pass(Prefixes prefixes) {
  patterns_.depart(kPatternsPerPass);
  wanted_.clear();
  match_.clear();
  core::append_glob_literal(match_, prefixes.key);
  const std::size_t prefix_end = match_.size();
  if (!prefixes.lease.empty()) {
    core::append_glob_literal(match_, prefixes.lease);
    for (std::size_t i = 0; i < patterns_.in_flight(); ++i) {
      wanted_.push_back({core::Glob(match_ + patterns_.glob(i)), prefixes.key.size() + prefixes.lease.size()});
    }
    match_.resize(prefix_end);
  }
  for (std::size_t i = 0; i < patterns_.in_flight(); ++i) {
    wanted_.push_back({core::Glob(match_ + patterns_.glob(i)), prefixes.key.size()});
  }
  const core::Glob& first = wanted_.front().glob;
  filters_ = wanted_.size() > 1 || first.stars() > kMostStars || patterns_.glob(0).size() > kLongestGlob;
  if (filters_) {
    std::string_view common = first.prefix();
    for (const Wanted& wanted : wanted_) common = common.substr(0, common_length(common, wanted.glob.prefix()));
    match_.clear();
    core::append_glob_literal(match_, common.substr(0, kLongestGlob));
    match_ += '*';
  } else {
    match_ += patterns_.glob(0);
  }
  cursor_ = "0";
  scanned_all_ = false;
  scanned_ = 0;
  total_.reset();
}

Sweep::Sent Sweep::send(redis::Connection& connection, Prefixes prefixes) {
  Sent sent;
  if (waiting_) return sent;
  if (patterns_.in_flight() == 0) {
    if (patterns_.collecting() == 0) return sent;
    begin_pass(prefixes);
    const std::string_view command = "DBSIZE";
    connection.append_command(&command, 1);
    sent.size = true;
  }
  if (scanned_all_) return sent;
  const std::string count = std::to_string(kSliceKeys);
  const std::string_view command[] = {"SCAN", cursor_, "MATCH", match_, "COUNT", count};
  connection.append_command(command, std::size(command));
  sent.scan = waiting_ = true;
  return sent;
}

void Sweep::take_size(const redis::Reply& reply) {
  if (reply.kind == redis::Reply::Kind::integer && reply.integer >= 0) total_ = static_cast<std::uint64_t>(reply.integer);
}

bool Sweep::take(const redis::Reply& reply, redis::Connection& connection, Prefixes prefixes, bool use_del,
                 std::vector<std::uint32_t>& deletes) {
  waiting_ = false;
  const bool understood = reply.kind == redis::Reply::Kind::array && reply.elements.size() == 2 &&
                          reply.elements[1].kind == redis::Reply::Kind::array;
  if (!understood) return false;
  cursor_ = reply.elements[0].text;
  scanned_all_ = cursor_ == "0";
  scanned_ += kSliceKeys;
  std::vector<std::string_view> keys;
  for (const redis::Reply& found : reply.elements[1].elements) {
    const std::string_view key = key_of(found.text);
    if (key.data() != nullptr) keys.push_back(key);
  }
  if (!prefixes.lease.empty()) {
    // A key and its lease were both found.
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  }
  const std::size_t most = prefixes.lease.empty() ? kKeysPerCommand : kKeysPerCommand / 2;
  for (std::size_t i = 0; i < keys.size(); i += most) {
    const std::vector<std::string_view> some(keys.begin() + static_cast<std::ptrdiff_t>(i),
                                             keys.begin() + static_cast<std::ptrdiff_t>(std::min(i + most, keys.size())));
    connection.append_unlink(some.data(), some.size(), prefixes.key, prefixes.lease, use_del);
    deletes.push_back(static_cast<std::uint32_t>(some.size()));
    deletes_.emplace_back(some.begin(), some.end());
  }
  finish_if_done();
  return true;
}

// The key that it is, or is the lease of, without prefix; data() == nullptr: no pattern matches it.
std::string_view Sweep::key_of(std::string_view found) const {
  if (!filters_) return found.substr(std::min(found.size(), wanted_.front().prefix));
  for (const Wanted& wanted : wanted_) {
    if (wanted.glob.matches(found)) return found.substr(wanted.prefix);
  }
  return {};
}

void Sweep::note_deleted() {
  deletes_.pop_front();
  finish_if_done();
}

void Sweep::single_out(redis::Connection& connection, Prefixes prefixes, bool use_del) {
  const std::vector<std::string> keys = std::move(deletes_.front());
  deletes_.pop_front();
  for (const std::string& key : keys) {
    const std::string_view view = key;
    connection.append_unlink(&view, 1, prefixes.key, prefixes.lease, use_del);
    deletes_.push_back({key});
  }
}

void Sweep::finish_if_done() {
  if (scanned_all_ && deletes_.empty() && is_running()) patterns_.arrived();
}

void Sweep::put_back() {
  patterns_.put_back();
  waiting_ = false;
  scanned_all_ = false;
  deletes_.clear();
  total_.reset();
  scanned_ = 0;
}

}  // namespace cache_invalidate::delivery
