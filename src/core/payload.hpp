// The text of a message: the two ready shapes, those that argument "payload" describes, and the ladder by which a long one
// is made to fit NOTIFY.
#pragma once

#include <cstdint>
#include <string>

#include "core/batch.hpp"

namespace cache_invalidate::core {

// NOTIFY takes at most this many bytes.
inline constexpr std::size_t kPayloadLimit = 7999;

struct Message {
  Shape shape;
  Operation operation = Operation::update;
  std::string id;      // empty: the whole resource; of a reset, why
  std::string fields;  // JSON fragment, may be empty; in a custom format the values of its program
  BatchHeader origin;  // of the newest transaction that caused it

  std::size_t text_size() const {
    return shape.channel.size() + shape.name.size() + shape.payload.size() + shape.servers.size() * sizeof(std::uint32_t) + id.size() +
           fields.size();
  }
};

// Always valid JSON and never longer than kPayloadLimit: the fields go first, then the id, never the message. A program
// that is damaged gives the record shape. So does a reset of a custom format; the reason of a reset is cut to fit.
// `ascii_only`: escape everything beyond ASCII, for databases that are not UTF-8. `lsn`: a WAL position at or behind the
// commit; only a custom format tells it.
std::string render_payload(const Message& message, bool ascii_only, std::uint64_t lsn = 0);

// "2026-01-02T03:04:05.678901+00:00" and "1767323045.678901", from microseconds since 1970.
std::string iso_timestamp(std::int64_t microseconds);
std::string epoch_timestamp(std::int64_t microseconds);

// "16/B374D848", as pg_lsn writes it.
std::string lsn_text(std::uint64_t lsn);

}  // namespace cache_invalidate::core
