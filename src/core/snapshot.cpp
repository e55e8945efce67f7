#include "core/snapshot.hpp"

#include <algorithm>

#include "core/batch.hpp"

namespace cache_invalidate::core {

bool XidSnapshot::contains(std::uint64_t xid) const {
  if (xid < xmin) return true;
  if (xid >= xmax) return false;
  return !std::binary_search(in_progress.begin(), in_progress.end(), xid);
}

const XidSnapshot* Watermark::find(std::uint32_t target) const {
  for (const Entry& entry : entries) {
    if (entry.target == target) return &entry.snapshot;
  }
  return nullptr;
}

std::string Watermark::encode() const {
  std::string out;
  out.push_back(static_cast<char>(kWatermarkVersion));
  put_varint(out, sequence);
  put_varint(out, entries.size());
  const Entry* previous = nullptr;
  for (const Entry& entry : entries) {
    put_varint(out, entry.target);
    const bool same = previous != nullptr && previous->snapshot == entry.snapshot;
    out.push_back(static_cast<char>(same));
    if (!same) {
      const XidSnapshot& snapshot = entry.snapshot;
      put_varint(out, snapshot.xmin);
      put_varint(out, snapshot.xmax - snapshot.xmin);
      put_varint(out, snapshot.in_progress.size());
      for (const std::uint64_t xid : snapshot.in_progress) put_varint(out, xid - snapshot.xmin);
    }
    previous = &entry;
  }
  return out;
}

Result<Watermark> Watermark::decode(std::string_view bytes) {
  const Error damaged{sqlstate::kDataCorrupted, "journal row is not a watermark of this version", "", ""};
  ByteReader reader(bytes);
  Watermark mark;
  if (reader.byte() != kWatermarkVersion) return damaged;
  mark.sequence = reader.varint();
  const std::uint64_t count = reader.varint();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    Entry entry{static_cast<std::uint32_t>(reader.varint()), {}};
    if (reader.byte() != 0) {
      if (mark.entries.empty()) return damaged;
      entry.snapshot = mark.entries.back().snapshot;
    } else {
      entry.snapshot.xmin = reader.varint();
      entry.snapshot.xmax = entry.snapshot.xmin + reader.varint();
      const std::uint64_t open = reader.varint();
      for (std::uint64_t j = 0; j < open && reader.ok(); ++j) {
        entry.snapshot.in_progress.push_back(entry.snapshot.xmin + reader.varint());
      }
    }
    mark.entries.push_back(std::move(entry));
  }
  if (!reader.ok() || !reader.at_end()) return damaged;
  return mark;
}

}  // namespace cache_invalidate::core
