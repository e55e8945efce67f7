// Replies of a hostile server: within the limits, the same in whatever pieces they come, and nothing after the first that makes
// no sense.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "redis/reply.hpp"
#include "redis/reply_reader.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

using redis::Reply;
using redis::ReplyReader;

struct Outcome {
  std::vector<Reply> replies;
  bool is_broken;
};

Outcome read(std::string_view bytes, std::size_t piece) {
  ReplyReader reader;
  Outcome outcome{};
  while (!bytes.empty()) {
    reader.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    while (auto parsed = reader.next()) outcome.replies.push_back(std::move(parsed->reply));
  }
  outcome.is_broken = reader.problem() != nullptr;
  if (outcome.is_broken) {
    reader.feed("+OK\r\n");
    require(!reader.next(), "a broken reader stays broken");
  }
  return outcome;
}

void check(const Reply& reply, std::size_t depth) {
  require(depth <= ReplyReader::kMaxDepth + 1, "the depth is bounded");
  require(reply.text.size() <= ReplyReader::kMaxReplyBytes && reply.elements.size() <= ReplyReader::kMaxElements, "so is the size");
  if (reply.kind == Reply::Kind::error) {
    require(redis::classify_error(reply.text) != redis::ReplyClass::ok, "an error is no success");
    const std::string word = redis::first_word(reply.text);
    require(word == redis::kUnrecognizedError || reply.text.rfind(word, 0) == 0, "what is logged is a word that is known");
  }
  for (const Reply& element : reply.elements) check(element, depth + 1);
}

bool are_equal(const Reply& a, const Reply& b) {
  return a.kind == b.kind && a.integer == b.integer && a.text == b.text &&
         std::equal(a.elements.begin(), a.elements.end(), b.elements.begin(), b.elements.end(), are_equal);
}

}  // namespace

void replies(std::string_view input) {
  if (input.empty()) return;
  const std::size_t piece = 1 + static_cast<std::uint8_t>(input.front()) % 64;
  const std::string_view bytes = input.substr(1);
  const Outcome whole = read(bytes, bytes.size());
  const Outcome pieces = read(bytes, piece);
  for (const Reply& reply : whole.replies) check(reply, 1);
  require(whole.is_broken == pieces.is_broken, "what makes no sense makes none in pieces");
  require(std::equal(whole.replies.begin(), whole.replies.end(), pieces.replies.begin(), pieces.replies.end(), are_equal),
          "the same bytes are the same replies");
}

}  // namespace cache_invalidate::fuzz
