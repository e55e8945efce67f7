#include "delivery/owed_copy.hpp"

#include <string>
#include <unordered_map>

#include "core/batch.hpp"
#include "journal/segment.hpp"
#include "pg/clock.hpp"

namespace cache_invalidate::delivery {
namespace {

constexpr std::size_t kPiece = 1024 * 1024;

// One copy: pieces of one transaction's batch, written as they fill up.
class Copy {
 public:
  Copy(const pg::Extension& extension, int segment)
      : extension_(extension),
        header_{U64FromFullTransactionId(GetTopFullTransactionId()), pg::unix_microseconds(GetCurrentTimestamp()), false},
        segment_(journal::lock_for_append(extension, segment)) {}

  void add(const Target& target) {
    std::unordered_map<std::string, std::uint32_t> numbers;
    core::Vocabulary vocabulary;
    target.for_each_owed([&](bool, std::string_view, std::string_view family) {
      const auto added = numbers.emplace(family, static_cast<std::uint32_t>(numbers.size()));
      if (added.second) vocabulary.scopes.push_back({{target.server()}, std::string(family)});
    });
    writer_.begin(header_, vocabulary);
    target.for_each_owed([&](bool is_pattern, std::string_view bytes, std::string_view family) {
      const std::uint32_t scope = numbers.find(std::string(family))->second;
      if (is_pattern) {
        writer_.pattern(scope, bytes);
      } else {
        writer_.key(scope, bytes);
      }
      if (writer_.bytes().size() < kPiece) return;
      append();
      writer_.begin(header_, vocabulary);
    });
    append();
  }

  int segment() const { return segment_; }

 private:
  void append() {
    const std::vector<std::size_t>& ends = writer_.chunk_ends();
    if (!ends.empty()) journal::append(extension_, segment_, writer_.bytes(), ends);
  }

  const pg::Extension& extension_;
  core::BatchHeader header_;
  int segment_;
  core::BatchWriter writer_;
};

std::uint64_t owed_bytes(const Target& target) {
  std::uint64_t bytes = 0;
  target.for_each_owed([&bytes](bool, std::string_view item, std::string_view) { bytes += item.size() + sizeof(core::BatchHeader); });
  return bytes;
}

}  // namespace

int write_owed_copy(const pg::Extension& extension, Dispatcher& dispatcher, int segment, std::uint64_t most_bytes) {
  Copy copy(extension, segment);
  const std::uint64_t share = most_bytes / std::max<std::size_t>(dispatcher.targets().size(), 1);
  for (const auto& target : dispatcher.targets()) {
    if (!target->enabled() || target->owed() == 0) continue;
    const std::uint64_t bytes = owed_bytes(*target);
    if (bytes > share) target->widen_to(static_cast<std::size_t>(static_cast<double>(target->owed()) * share / bytes));
    copy.add(*target);
  }
  return copy.segment();
}

}  // namespace cache_invalidate::delivery
