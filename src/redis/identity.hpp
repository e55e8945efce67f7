// The identity of a server: what changes when it was restarted, replaced, or made a replica or a primary, and
// keys that were deleted may be there again.
//
// IdentityWatch compares; times are microseconds and come from its owner.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cache_invalidate::redis {

// "run_id master_replid role" from the answers to INFO server and INFO replication; "-" for what is missing or is no
// plain word, and "" if all is.
std::string identity_of(std::string_view info_server, std::string_view info_replication);

class IdentityWatch {
 public:
  // What was known before: with "" the first identity is taken without suspicion.
  void expect(std::string identity);
  // What comes next is another server or another part of it, whoever it is.
  void expect_another();

  // A connection is ready; "" when the server does not tell. True: an identity other than the one known.
  bool connected(std::string identity, std::int64_t now);
  // A health check on the connection that is there.
  bool checked(std::string identity, std::int64_t now);
  // The server answered something.
  void answered(std::int64_t now);

  const std::string& identity() const { return identity_; }
  // Once after each time it may have forgotten.
  bool take_forgot();
  // When the server that was known last answered; 0: never. Stands still until take_forgot() was asked.
  std::int64_t contact() const { return contact_; }

 private:
  bool compare(std::string identity);

  std::string identity_;
  std::int64_t contact_ = 0;
  std::int64_t confirmed_ = 0;  // when it last was asked who it is
  bool has_history_ = false;
  bool forgot_ = false;
};

}  // namespace cache_invalidate::redis
