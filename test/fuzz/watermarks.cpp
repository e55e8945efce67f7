// A watermark of the journal: whatever its bytes are, what is read of it is the same when it is written again, and it never says
// of a transaction both that it has arrived and that it was open.
#include <algorithm>
#include <string>
#include <string_view>

#include "core/batch.hpp"
#include "core/watermark.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

void check(const core::XidSnapshot& snapshot) {
  const std::uint64_t near[] = {0, 1, snapshot.xmin - 1, snapshot.xmin, snapshot.xmax - 1, snapshot.xmax, ~std::uint64_t{0}};
  for (const std::uint64_t xid : near) {
    const bool is_known = snapshot.contains(xid);
    if (xid < snapshot.xmin) require(is_known, "what is older than all that was open has ended");
    if (xid >= snapshot.xmin && xid >= snapshot.xmax) require(!is_known, "what had not begun has not ended");
  }
  // A server's are between the two, in order.
  const auto& open = snapshot.in_progress;
  if (open.empty() || !std::is_sorted(open.begin(), open.end()) || open.front() < snapshot.xmin) return;
  for (const std::uint64_t xid : open) require(!snapshot.contains(xid), "what was open has not ended");
}

}  // namespace

void watermarks(std::string_view input) {
  const core::Result<core::Watermark> read = core::Watermark::decode(input);
  if (!read.ok()) {
    require(!read.error().message.empty(), "an error says something");
    return;
  }
  require(!core::is_batch(input), "a watermark is no batch");
  const core::Watermark& mark = read.value();
  const std::string written = mark.encode();
  const core::Result<core::Watermark> again = core::Watermark::decode(written);
  require(again.ok() && again.value().equals(mark) && again.value().sequence == mark.sequence, "what is written is read as it was");
  require(again.value().encode() == written, "the same watermark is the same bytes");
  for (const core::Watermark::Entry& entry : mark.entries) {
    check(entry.snapshot);
    require(mark.find(entry.target) != nullptr, "each target is found");
  }
}

}  // namespace cache_invalidate::fuzz
