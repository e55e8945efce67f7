#include "delivery/sweep.hpp"

#include <algorithm>
#include <vector>

#include "core/expand.hpp"

namespace cache_invalidate::delivery {
namespace {
constexpr std::string_view kSliceKeys = "512";  // looked at by one SCAN: about a tenth of a millisecond
constexpr std::size_t kKeysPerCommand = 128;
}  // namespace

std::uint32_t Sweep::send(redis::Connection& connection, std::string_view key_prefix) {
  if (waiting_) return 0;
  if (patterns_.in_flight() == 0) {
    if (patterns_.collecting() == 0) return 0;
    patterns_.depart();
    current_ = 0;
    cursor_.clear();
  }
  if (current_ == patterns_.in_flight()) return 0;
  std::string glob;
  core::append_glob_literal(glob, key_prefix);
  glob += patterns_.key(current_);
  const std::string_view command[] = {"SCAN", cursor_.empty() ? std::string_view("0") : std::string_view(cursor_),
                                      "MATCH", glob, "COUNT", kSliceKeys};
  connection.append_command(command, std::size(command));
  waiting_ = true;
  return 1;
}

std::uint32_t Sweep::take(const redis::Reply& reply, redis::Connection& connection, bool use_del, bool& understood) {
  waiting_ = false;
  understood = reply.kind == redis::Reply::Kind::array && reply.elements.size() == 2 &&
               reply.elements[1].kind == redis::Reply::Kind::array;
  if (!understood) return 0;
  cursor_ = reply.elements[0].text;
  std::vector<std::string_view> found;
  for (const redis::Reply& key : reply.elements[1].elements) found.push_back(key.text);
  std::uint32_t commands = 0;
  for (std::size_t i = 0; i < found.size(); i += kKeysPerCommand, ++commands) {
    // What SCAN returns has its prefix already.
    connection.append_unlink(found.data() + i, std::min(kKeysPerCommand, found.size() - i), "", "", use_del);
  }
  if (cursor_ == "0") {
    cursor_.clear();
    ++current_;
  }
  deletes_ += commands;
  finish_if_done();
  return commands;
}

void Sweep::note_deleted() {
  --deletes_;
  finish_if_done();
}

void Sweep::finish_if_done() {
  if (deletes_ == 0 && patterns_.in_flight() > 0 && current_ == patterns_.in_flight()) patterns_.arrived();
}

void Sweep::put_back() {
  patterns_.put_back();
  waiting_ = false;
  current_ = 0;
  deletes_ = 0;
  cursor_.clear();
}

}  // namespace cache_invalidate::delivery
