#include "redis/connection.hpp"

#include <string.h>  // explicit_bzero

#include <array>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "redis/cure.hpp"
#include "redis/identity.hpp"

namespace cache_invalidate::redis {
namespace {

// So that one busy server does not keep the owner's event loop from the others.
constexpr std::size_t kMaxBytesPerCall = 1024 * 1024;
// Small, because hiredis moves the rest of what it was fed each time it has consumed a part.
constexpr std::size_t kReadChunk = 16 * 1024;
constexpr std::size_t kMaxQueuedMemory = 64 * 1024 * 1024;
constexpr std::size_t kHandshakeOverhead = 512;

bool is_server_full(std::string_view error_line) {
  constexpr std::string_view kStart = "ERR max number of clients";
  return error_line.substr(0, kStart.size()) == kStart;
}

std::string explain(std::string_view word) {
  if (word == "NOAUTH") return "the server asks for a password";
  if (word == "WRONGPASS") return "the server does not accept the user name or the password";
  if (word == "DENIED") return "the server is in protected mode and wants a password";
  if (word == "LOADING") return "the server is loading its data";
  return "";
}

constexpr std::string_view kPing[] = {"PING"};
constexpr std::string_view kInfoServer[] = {"INFO", "server"};
constexpr std::string_view kInfoReplication[] = {"INFO", "replication"};

}  // namespace

// What shows that the server will not serve us at all is not to be mistaken for that.
bool may_be_ignored(std::string_view error_line) {
  const std::string word = first_word(error_line);
  return word == "NOPERM" || (word == "ERR" && !is_server_full(error_line)) || word == kUnrecognizedError;
}

Connection::Connection(ConnectionOptions options) : Connection(std::move(options), make_socket_transport()) {}

Connection::Connection(ConnectionOptions options, std::unique_ptr<Transport> transport)
    : options_(std::move(options)), transport_(std::move(transport)) {}

Connection::~Connection() {
  close();
  explicit_bzero(options_.password.data(), options_.password.size());
}

bool Connection::open() {
  close();
  failure_ = Failure();
  reader_.emplace();
  const auto progress = transport_->start(options_.endpoint);
  if (!progress.ok()) return fail(ReplyClass::transient, progress.error().message, progress.error().hint);
  state_ = State::connecting;
  return progress.value() == ConnectProgress::pending || begin_handshake();
}

bool Connection::wants_write() const {
  return state_ == State::connecting || (state_ != State::closed && !out_.empty());
}

bool Connection::on_ready(bool readable, bool writable) {
  if (state_ == State::closed) return false;
  if (state_ == State::connecting) return (!readable && !writable) || advance_connect();
  // Reading comes first: what a server says before it hangs up explains more than a failed write.
  if (readable && !read_input()) return false;
  return !writable || send_output();
}

bool Connection::advance_connect() {
  const auto progress = transport_->finish_connect();
  if (!progress.ok()) return fail(ReplyClass::transient, progress.error().message, progress.error().hint);
  return progress.value() == ConnectProgress::pending || begin_handshake();
}

// All steps leave at once: a handshake costs one round trip.
bool Connection::begin_handshake() {
  state_ = State::handshaking;
  // Growing would leave copies of the password behind in freed memory.
  out_.reserve(kHandshakeOverhead + options_.username.size() + options_.password.size() +
               options_.client_name.size());
  const auto append = [this](Step step, const std::string_view* args, std::size_t count) {
    steps_.push_back(step);
    out_.append_command(args, count);
  };
  if (!options_.password.empty() && options_.username.empty()) {
    const std::array<std::string_view, 2> args = {"AUTH", options_.password};
    append(Step::auth, args.data(), args.size());
  } else if (!options_.password.empty()) {
    const std::array<std::string_view, 3> args = {"AUTH", options_.username, options_.password};
    append(Step::auth, args.data(), args.size());
  }
  if (options_.endpoint.database != 0) {
    const std::string database = std::to_string(options_.endpoint.database);
    const std::array<std::string_view, 2> args = {"SELECT", database};
    append(Step::select, args.data(), args.size());
  }
  if (!options_.client_name.empty()) {
    const std::array<std::string_view, 3> args = {"CLIENT", "SETNAME", options_.client_name};
    append(Step::set_name, args.data(), args.size());
  }
  // Being connected does not mean being served: the server must have answered something.
  if (steps_.empty() || options_.asks_health) append(Step::ping, kPing, std::size(kPing));
  if (options_.asks_health) {
    append(Step::info_server, kInfoServer, std::size(kInfoServer));
    append(Step::info_replication, kInfoReplication, std::size(kInfoReplication));
  }
  return send_output();
}

bool Connection::take_handshake_reply(const Reply& reply) {
  const Step step = steps_[answered_steps_++];
  const bool info = step == Step::info_server || step == Step::info_replication;
  const bool optional = info || step == Step::set_name || (step == Step::ping && options_.asks_health);
  if (reply.kind == Reply::Kind::error) {
    if (!optional || !may_be_ignored(reply.text)) return refuse_handshake(step, reply.text);
  } else if (reply.kind != (info ? Reply::Kind::bulk : Reply::Kind::status)) {
    return fail(ReplyClass::protocol, "the server answered the handshake with a reply of the wrong type");
  }
  const bool told = reply.kind == Reply::Kind::bulk;
  if (told && step == Step::info_server) info_server_ = reply.text;
  if (step == Step::info_replication) identity_ = identity_of(info_server_, told ? reply.text : std::string());
  if (answered_steps_ == steps_.size()) state_ = State::ready;
  return true;
}

bool Connection::refuse_handshake(Step step, const std::string& error_line) {
  constexpr std::array<const char*, 6> kNames = {"AUTH", "SELECT", "CLIENT SETNAME", "PING", "INFO", "INFO"};
  const std::string word = first_word(error_line);
  ReplyClass reply_class = classify_error(error_line);
  // There is nothing to be singled out in a handshake.
  if (reply_class == ReplyClass::poison) reply_class = ReplyClass::configuration;
  std::string text = is_server_full(error_line) ? "the server has too many clients" : explain(word);
  if (text.empty()) text = std::string("the server refused ") + kNames[static_cast<std::size_t>(step)];
  const char* const cure = cure_for_reply(error_line);
  return fail(reply_class, text + " (" + word + ")", cure == nullptr ? "" : cure);
}

bool Connection::send_output() {
  std::size_t budget = kMaxBytesPerCall;
  while (!out_.empty() && budget > 0) {
    const IoResult sent = transport_->send(out_.unsent().substr(0, budget));
    if (sent.kind == IoResult::Kind::would_block) return true;
    // As in on_ready(): replies may have arrived before the connection broke.
    if (sent.kind == IoResult::Kind::closed) return read_input() && fail_lost(sent.error);
    bytes_sent_ += sent.bytes;
    budget -= sent.bytes;
    if (state_ == State::handshaking && sent.bytes == out_.size()) {
      out_.wipe();
    } else {
      out_.consume(sent.bytes);
    }
  }
  return true;
}

bool Connection::read_input() {
  std::array<char, kReadChunk> chunk;
  for (std::size_t total = 0; total < kMaxBytesPerCall;) {
    const IoResult received = transport_->recv(chunk.data(), chunk.size());
    if (received.kind == IoResult::Kind::would_block) return true;
    if (received.kind == IoResult::Kind::closed) return fail_lost(received.error);
    bytes_received_ += received.bytes;
    total += received.bytes;
    if (!take_input({chunk.data(), received.bytes})) return false;
  }
  return true;
}

bool Connection::take_input(std::string_view bytes) {
  reader_->feed(bytes);
  while (auto parsed = reader_->next()) {
    if (!take_reply(*std::move(parsed))) return false;
  }
  if (reader_->problem() != nullptr) return fail(ReplyClass::protocol, reader_->problem());
  return true;
}

bool Connection::take_reply(ReplyReader::Parsed parsed) {
  if (state_ == State::handshaking) return take_handshake_reply(parsed.reply);
  if (awaited_ == 0) return fail(ReplyClass::protocol, "the server sent a reply to nothing");
  --awaited_;
  replies_memory_ += parsed.memory;
  replies_.push_back({std::move(parsed.reply), parsed.memory});
  if (replies_memory_ > kMaxQueuedMemory)
    return fail(ReplyClass::protocol, "the server's replies are too large");
  return true;
}

// A caller that appends to a connection it did not look at would believe in replies that never come.
void Connection::require_ready() const {
  if (state_ != State::ready) throw std::logic_error("command appended to a connection that is not ready");
}

void Connection::append_unlink(const std::string_view* keys, std::size_t count, std::string_view key_prefix,
                               std::string_view lease_prefix, bool use_del) {
  require_ready();
  if (count == 0) return;
  out_.append_keys(use_del ? "DEL" : "UNLINK", keys, count, key_prefix, lease_prefix);
  ++awaited_;
}

void Connection::append_command(const std::string_view* args, std::size_t count) {
  require_ready();
  if (count == 0) return;
  out_.append_command(args, count);
  ++awaited_;
}

void Connection::append_health_check() {
  append_command(kPing, std::size(kPing));
  append_command(kInfoServer, std::size(kInfoServer));
  append_command(kInfoReplication, std::size(kInfoReplication));
}

bool Connection::flush() {
  if (state_ == State::connecting) return true;
  return state_ != State::closed && send_output();
}

std::optional<Reply> Connection::next_reply() {
  if (replies_.empty()) return std::nullopt;
  std::optional<Reply> reply(std::move(replies_.front().reply));
  replies_memory_ -= replies_.front().memory;
  replies_.pop_front();
  return reply;
}

bool Connection::fail(ReplyClass reply_class, std::string text, std::string cure) {
  if (reply_class == ReplyClass::protocol && state_ == State::handshaking) cure = cure_for(Trouble::not_redis);
  std::deque<QueuedReply> replies;
  const std::size_t unanswered_before = unanswered();
  if (reply_class != ReplyClass::protocol) replies.swap(replies_);
  const std::size_t memory = replies.empty() ? 0 : replies_memory_;
  close();
  awaited_ = unanswered_before - replies.size();
  replies_.swap(replies);
  replies_memory_ = memory;
  failure_ = {reply_class, std::move(text), std::move(cure)};
  return false;
}

bool Connection::fail_lost(int error) {
  const std::string reason =
      error == 0 ? std::string("the server closed it") : std::generic_category().message(error);
  const bool early = state_ == State::handshaking;
  const char* const when = early ? "connection lost in the handshake: " : "connection lost: ";
  return fail(ReplyClass::transient, when + reason, early ? cure_for(Trouble::lost_early) : "");
}

void Connection::close() noexcept {
  transport_->close();
  // Until the handshake is answered the buffer may hold a password.
  if (state_ == State::handshaking) {
    out_.wipe();
  } else {
    out_.clear();
  }
  state_ = State::closed;
  reader_.reset();
  steps_.clear();
  answered_steps_ = 0;
  info_server_.clear();
  identity_.clear();
  replies_.clear();
  replies_memory_ = 0;
  awaited_ = 0;
}

}  // namespace cache_invalidate::redis
