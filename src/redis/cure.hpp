// What a person can do about a server that does not serve: one plain sentence or two for each trouble, which
// health shows beside it. No text holds anything that a server or a user said.
#pragma once

#include <string_view>

namespace cache_invalidate::redis {

// What goes wrong without an error reply.
enum class Trouble {
  refused,         // nobody listens there
  forbidden,       // the socket may not be opened
  unknown_host,
  unreachable,
  no_connection,   // not within connect_timeout
  no_answer,       // not within command_timeout
  lost_early,      // in the handshake
  not_redis,
  unknown,
};

// nullptr: nobody needs to do anything, or nothing is known to help.
const char* cure_for(Trouble trouble);
const char* cure_for_reply(std::string_view error_line);

// Of connect(2) and its like.
Trouble trouble_of_errno(int error);

}  // namespace cache_invalidate::redis
