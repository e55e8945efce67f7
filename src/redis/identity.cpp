#include "redis/identity.hpp"

#include <algorithm>
#include <utility>

namespace cache_invalidate::redis {
namespace {

constexpr std::size_t kLongestWord = 64;

bool is_plain(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The value behind "name:" at the beginning of a line.
std::string_view field(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const std::string_view line = info.substr(0, info.find_first_of("\r\n"));
    if (line.size() > name.size() && line[name.size()] == ':' && line.substr(0, name.size()) == name) {
      const std::string_view value = line.substr(name.size() + 1);
      const bool usable = !value.empty() && value.size() <= kLongestWord && std::all_of(value.begin(), value.end(), is_plain);
      return usable ? value : std::string_view();
    }
    info.remove_prefix(std::min(line.size() + 1, info.size()));
  }
  return {};
}

}  // namespace

std::string identity_of(std::string_view info_server, std::string_view info_replication) {
  const std::string_view fields[] = {field(info_server, "run_id"), field(info_replication, "master_replid"),
                                     field(info_replication, "role")};
  if (std::all_of(std::begin(fields), std::end(fields), [](std::string_view f) { return f.empty(); })) return "";
  std::string identity;
  for (const std::string_view f : fields) {
    if (!identity.empty()) identity += ' ';
    identity += f.empty() ? std::string_view("-") : f;
  }
  return identity;
}

void IdentityWatch::expect(std::string identity) {
  has_history_ = !identity.empty();
  identity_ = std::move(identity);
}

void IdentityWatch::expect_another() { identity_.clear(); }

// A server that does not tell who it is may be another one each time.
bool IdentityWatch::compare(std::string identity) {
  const bool other = identity != identity_;
  const bool told_other = other && !identity.empty() && !identity_.empty();
  if (has_history_ && (other || identity.empty())) forgot_ = true;
  has_history_ = true;
  identity_ = std::move(identity);
  return told_other;
}

bool IdentityWatch::connected(std::string identity, std::int64_t now) {
  const bool other = compare(std::move(identity));
  confirmed_ = now;
  answered(now);
  return other;
}

bool IdentityWatch::checked(std::string identity, std::int64_t now) {
  // The connection is the same: not being told says nothing new.
  if (identity.empty() && identity_.empty()) return false;
  const std::int64_t confirmed = confirmed_;
  const bool other = compare(std::move(identity));
  // Since when it has been another is not known.
  if (forgot_ && contact_ > confirmed) contact_ = confirmed;
  confirmed_ = now;
  answered(now);
  return other;
}

void IdentityWatch::answered(std::int64_t now) {
  if (!forgot_) contact_ = now;
}

bool IdentityWatch::take_forgot() { return std::exchange(forgot_, false); }

}  // namespace cache_invalidate::redis
