#include "redis/cure.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace cache_invalidate::redis {
namespace {

struct Cure {
  std::string_view start;  // of the error line
  const char* text;
};

constexpr const char* kGrant =
    "Give the user the keys and the commands: ACL SETUSER <user> ~<key_prefix>* &<key_prefix>* +unlink +del +scan +publish "
    "+ping +info +auth +select +client|setname. It is tried again within 30 s, or at once by SELECT pg_reload_conf().";
constexpr const char* kWrongPassword =
    "Correct the user mapping: ALTER USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (SET password '...'); its username too, if it has "
    "one. In place of CURRENT_USER stands PUBLIC, or another role, if the mapping is its.";
constexpr const char* kNoPasswordSet = "The server has no password: drop the options of the user mapping, or set requirepass.";
constexpr const char* kWrongDatabase =
    "The server has no database of that number: correct the end of the option \"url\", or raise \"databases\" of the server.";
constexpr const char* kNoCommand =
    "The server does not know a command that is needed: look at rename-command in its configuration.";
constexpr const char* kCluster = "The server is a node of a cluster, which is not supported: let \"url\" lead to one that is not.";
constexpr const char* kPrimary =
    "Let \"url\" lead to the primary. If it is a name that follows a failover, nothing needs to be done.";

// The first that matches counts. Letters of either case are equal.
constexpr Cure kCures[] = {
    {"NOAUTH", "Add a user mapping: CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (password '...')."},
    {"ERR operation not permitted", "Add a user mapping: CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (password '...')."},
    {"WRONGPASS", kWrongPassword},
    {"ERR invalid password", kWrongPassword},
    {"ERR AUTH", kNoPasswordSet},
    {"ERR Client sent AUTH", kNoPasswordSet},
    {"ERR wrong number of arguments for 'auth'", "The server knows no users: drop the option \"username\" of the user mapping."},
    {"DENIED",
     "The server is in protected mode: give it a password and a user mapping, or bind it to an inner address and set "
     "protected-mode no."},
    {"NOPERM", kGrant},
    {"MISCONF",
     "The server cannot save its data, so it refuses deletes: look at its disk, or set stop-writes-on-bgsave-error no."},
    {"READONLY", "The server is a replica. Let \"url\" lead to the primary; a name that follows a failover needs nothing."},
    {"MASTERDOWN", kPrimary},
    {"LOADING", "The server is loading its data: wait until it has."},
    {"BUSY", "A script holds the server up: end it with SCRIPT KILL or FUNCTION KILL, or wait for it."},
    {"OOM", "The server has no memory left: raise maxmemory, or set maxmemory-policy to one that evicts."},
    {"NOREPLICAS", "The server demands more replicas than it has: add one, or lower min-replicas-to-write."},
    {"MOVED", kCluster},
    {"ASK", kCluster},
    {"CLUSTERDOWN", kCluster},
    {"TRYAGAIN", kCluster},
    {"CROSSSLOT", kCluster},
    {"REDIRECT", kPrimary},
    {"ERR max number of clients", "Raise maxclients of the server, or look at CLIENT LIST for who holds the connections."},
    {"ERR DB index is out of range", kWrongDatabase},
    {"ERR invalid DB index", kWrongDatabase},
    {"ERR SELECT is not allowed", kCluster},
    {"ERR unknown command", kNoCommand},
    {"ERR unknown subcommand", kNoCommand},
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() &&
         std::equal(start.begin(), start.end(), text.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

const char* cure_for(Trouble trouble) {
  switch (trouble) {
    case Trouble::refused: return "Start the server, or correct the host and port or the path in the option \"url\".";
    case Trouble::forbidden: return "Let the user that PostgreSQL runs as open the socket: unixsocketperm of the server, or a group.";
    case Trouble::unknown_host: return "Correct the name of the host in the option \"url\", or this machine's name service.";
    case Trouble::unreachable: return "Look at the network and the firewalls between this machine and the server.";
    case Trouble::no_connection:
      return "The server hangs or cannot be reached: look at it and at the network; if it is only slow, raise connect_timeout.";
    case Trouble::no_answer:
      return "The server hangs, is paused or has too much to do: look at it and its SLOWLOG; if it is only slow, raise "
             "command_timeout.";
    case Trouble::lost_early: return "Look at the server's log. If its port takes TLS only, name one that takes plain connections.";
    case Trouble::not_redis: return "What answers there is no Redis or Valkey: correct the host and port in the option \"url\".";
    case Trouble::unknown: break;
  }
  return nullptr;
}

const char* cure_for_reply(std::string_view error_line) {
  const auto* const found = std::find_if(std::begin(kCures), std::end(kCures),
                                         [error_line](const Cure& cure) { return starts_with(error_line, cure.start); });
  return found == std::end(kCures) ? nullptr : found->text;
}

Trouble trouble_of_errno(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
      return Trouble::refused;
    case EACCES:
    case EPERM:
      return Trouble::forbidden;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
      return Trouble::unreachable;
    default:
      return Trouble::unknown;
  }
}

}  // namespace cache_invalidate::redis
