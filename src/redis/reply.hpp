// What a server answered, and what an error answer means for what we sent.
//
// Errors are told apart by their first word, which Redis and Valkey keep stable; their texts are looked at
// only where one word stands for unlike things. The raw text of an error may echo what was sent, the
// password included: only first_word() is fit for a log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cache_invalidate::redis {

enum class ReplyClass {
  ok,             // done
  transient,      // keep what was sent, try again with back-off
  moved,          // we talk to the wrong server now: resolve again, reconnect, resend
  configuration,  // keep what was sent, try again slowly, tell the administrator
  poison,         // this very command can never succeed: single it out
  protocol,       // the stream makes no sense: the connection is closed
};

struct Reply {
  enum class Kind { status, error, integer, bulk, nil, array };

  Kind kind = Kind::nil;
  long long integer = 0;
  std::string text;  // status, error (without the "-"), bulk: counted bytes
  std::vector<Reply> elements;
};

// Never `ok`. A word that is not known is transient, so that what was sent is kept.
ReplyClass classify_error(std::string_view error_line);

inline constexpr const char* kUnrecognizedError = "unrecognized error";

// The first word if it is an error code of Redis or Valkey, else kUnrecognizedError: a hostile or confused
// server may put anything there, our password for one.
std::string first_word(std::string_view error_line);

}  // namespace cache_invalidate::redis
