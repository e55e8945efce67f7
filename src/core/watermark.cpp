#include "core/watermark.hpp"

#include "core/batch.hpp"

namespace cache_invalidate::core {
namespace {

constexpr std::uint8_t kSameSnapshot = 1;  // as the entry before
constexpr std::uint8_t kResetDue = 2;

void put_snapshot(std::string& out, const XidSnapshot& snapshot) {
  put_varint(out, snapshot.xmin);
  put_varint(out, snapshot.xmax - snapshot.xmin);
  put_varint(out, snapshot.in_progress.size());
  for (const std::uint64_t xid : snapshot.in_progress) put_varint(out, xid - snapshot.xmin);
}

XidSnapshot take_snapshot(ByteReader& reader) {
  XidSnapshot snapshot;
  snapshot.xmin = reader.varint();
  snapshot.xmax = snapshot.xmin + reader.varint();
  const std::uint64_t open = reader.varint();
  for (std::uint64_t i = 0; i < open && reader.ok(); ++i) snapshot.in_progress.push_back(snapshot.xmin + reader.varint());
  return snapshot;
}

}  // namespace

const Watermark::Entry* Watermark::find(std::uint32_t target) const {
  for (const Entry& entry : entries) {
    if (entry.target == target) return &entry;
  }
  return nullptr;
}

std::string Watermark::encode() const {
  std::string out;
  out.push_back(static_cast<char>(kWatermarkVersion));
  put_varint(out, sequence);
  put_varint(out, system);
  put_varint(out, static_cast<std::uint64_t>(discarded_until));
  out.push_back(static_cast<char>(ring_only));
  put_varint(out, entries.size());
  const Entry* previous = nullptr;
  for (const Entry& entry : entries) {
    const bool same = previous != nullptr && previous->snapshot == entry.snapshot;
    put_varint(out, entry.target);
    out.push_back(static_cast<char>((same ? kSameSnapshot : 0) | (entry.reset_due ? kResetDue : 0)));
    if (!same) put_snapshot(out, entry.snapshot);
    put_bytes(out, entry.identity);
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
  mark.system = reader.varint();
  mark.discarded_until = static_cast<std::int64_t>(reader.varint());
  mark.ring_only = reader.byte() != 0;
  const std::uint64_t count = reader.varint();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    Entry entry;
    entry.target = static_cast<std::uint32_t>(reader.varint());
    const std::uint8_t flags = reader.byte();
    if ((flags & kSameSnapshot) != 0) {
      if (mark.entries.empty()) return damaged;
      entry.snapshot = mark.entries.back().snapshot;
    } else {
      entry.snapshot = take_snapshot(reader);
    }
    entry.reset_due = (flags & kResetDue) != 0;
    entry.identity = reader.bytes();
    mark.entries.push_back(std::move(entry));
  }
  if (!reader.ok() || !reader.at_end()) return damaged;
  return mark;
}

}  // namespace cache_invalidate::core
