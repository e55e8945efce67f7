// One connection to a server: a state machine that never blocks, never reads a clock and never waits. The
// event loop of its owner does that, with fd() and wants_write(), and calls on_ready().
//
// A connection that failed is closed at once and its stream never read again. Throws only for memory and
// for a command appended when not ready. No password ever gets into a Failure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/output_buffer.hpp"
#include "redis/reply.hpp"
#include "redis/reply_reader.hpp"
#include "redis/transport.hpp"
#include "redis/url.hpp"

namespace cache_invalidate::redis {

struct ConnectionOptions {
  Endpoint endpoint;
  std::string username;  // empty: the password alone, as servers without users want it
  std::string password;  // empty: no AUTH
  std::string client_name = "cache_invalidate";
  bool asks_health = false;  // the handshake includes a health check: whether it serves, and who it is
};

// The text is our own words and at most the server's error code: fit for a log, as is the cure.
struct Failure {
  ReplyClass reply_class = ReplyClass::transient;
  std::string text;
  std::string cure = {};  // what a person can do; may be empty
};

// Whether this error means no more than that the server does not know or not allow a command we can do without.
bool may_be_ignored(std::string_view error_line);

class Connection {
 public:
  enum class State { closed, connecting, handshaking, ready };

  static constexpr std::size_t kHealthCommands = 3;  // PING, INFO server, INFO replication

  explicit Connection(ConnectionOptions options);
  Connection(ConnectionOptions options, std::unique_ptr<Transport> transport);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Starts to connect, after close(). False: failure() says why. May block in the resolver if the endpoint
  // names a host that is no numeric address.
  bool open();
  State state() const { return state_; }
  // -1 when closed. Changes between two open() and, while connecting, in on_ready(): a host may have several
  // addresses.
  int fd() const { return transport_->fd(); }
  // Connecting, or bytes are waiting to be sent. (When not closed, a connection always wants to read.)
  bool wants_write() const;

  // To be called when the socket is readable or writable, or broken (then either will do). False: the
  // connection is closed, failure() says why. Reads and writes a bounded amount; readiness being a level,
  // the rest follows with the next call.
  bool on_ready(bool readable, bool writable);

  // Only in state ready. No keys: nothing is appended. Prefixes as in OutputBuffer::append_keys().
  void append_unlink(const std::string_view* keys, std::size_t count, std::string_view key_prefix,
                     std::string_view lease_prefix, bool use_del);
  void append_command(const std::string_view* args, std::size_t count);
  // kHealthCommands commands.
  void append_health_check();
  // Sends what the socket takes, up to a bound. False as in on_ready().
  bool flush();

  // From the handshake; see identity_of(). Empty: the server does not tell, or was not asked.
  const std::string& identity() const { return identity_; }

  std::size_t unsent_bytes() const { return out_.size(); }
  // Since construction, over all open()s, handshakes included.
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  std::uint64_t bytes_received() const { return bytes_received_; }

  // The replies to appended commands, in their order. Replies that were complete when the connection was
  // lost can still be taken; after a protocol failure there are none, since nothing the server said is
  // certain.
  std::optional<Reply> next_reply();
  // Commands whose reply was not yet taken. Kept when the connection fails: with the replies still to be
  // taken, it tells how many were not answered.
  std::size_t unanswered() const { return awaited_ + replies_.size(); }

  // Forgets everything, replies and counts too, but not failure().
  void close() noexcept;
  const Failure& failure() const { return failure_; }

 private:
  enum class Step { auth, select, set_name, ping, info_server, info_replication };

  bool begin_handshake();
  bool take_handshake_reply(const Reply& reply);
  bool refuse_handshake(Step step, const std::string& error_line);
  bool advance_connect();
  bool send_output();
  bool read_input();
  bool take_input(std::string_view bytes);
  bool take_reply(ReplyReader::Parsed parsed);
  void require_ready() const;
  bool fail(ReplyClass reply_class, std::string text, std::string cure = {});
  bool fail_lost(int error);

  struct QueuedReply {
    Reply reply;
    std::size_t memory;
  };

  ConnectionOptions options_;
  std::unique_ptr<Transport> transport_;
  State state_ = State::closed;
  OutputBuffer out_;
  std::optional<ReplyReader> reader_;
  std::vector<Step> steps_;  // of the handshake
  std::size_t answered_steps_ = 0;
  std::string info_server_;
  std::string identity_;
  std::deque<QueuedReply> replies_;
  std::size_t replies_memory_ = 0;
  std::size_t awaited_ = 0;  // commands appended whose reply did not arrive
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  Failure failure_;
};

}  // namespace cache_invalidate::redis
