// The batch: what one transaction made stale, as bytes. The same bytes stand in the journal and in the ring.
//
// A batch is a sequence of chunks. A chunk is decodable alone and small enough for one journal row, except
// when a single key is longer than that. Format of a chunk (all integers varints unless said otherwise):
//
//   version (one byte, kBatchVersion or kPartVersion), transaction id (64-bit), time (fixed64, microseconds since 1970)
//   then items until the end, each a tag byte (kind in the high, owner in the low four bits; owner 15 means
//   that a varint with the owner follows) and
//     scope    servers, glob                defines the next scope number of this chunk
//     shape    format and flags (a byte), channel if it has one, name, the program of a custom format, servers if they are not
//              those of the last scope      defines the next shape number of this chunk; in a part
//              the writer's own number of the shape follows
//     key      (owner: scope) bytes
//     message  (owner: shape) operation (a byte; 0x80 is set when the id is not exact, 0x40 when there are fields, 0x20 when the
//              id is the end of the last key of this chunk: then only its length follows), id, fields
//     error    table, operation, message, context
//     probe    bytes
//     pattern  (owner: scope) glob
//   where servers are their count and their ids.
//
// A transaction too large for memory writes several batches, its parts, with rising times. Changes of one record
// may lie in several of them: whoever reads them folds. The last part gives all of them their time, so it is
// written even when it holds no item.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/rule.hpp"

namespace cache_invalidate::core {

inline constexpr std::uint8_t kBatchVersion = 1;
inline constexpr std::uint8_t kWatermarkVersion = 2;
inline constexpr std::uint8_t kPartVersion = 3;

// Whether a row of the journal is a chunk of a batch, and not a watermark.
inline bool is_batch(std::string_view row) {
  return !row.empty() && (row.front() == static_cast<char>(kBatchVersion) || row.front() == static_cast<char>(kPartVersion));
}

// A reset says that anything may be stale; it has why, a text in UTF-8, in the place of the id.
enum class Operation : std::uint8_t { insert = 0, update = 1, remove = 2, test = 3, truncate = 4, reset = 5 };

// "INSERT", "UPDATE", "DELETE", "TEST", "TRUNCATE", "RESET".
std::string_view operation_name(Operation operation);

// What the messages of one rule have in common.
struct Shape {
  Format format = Format::record;
  bool has_channel = false;  // false: cache_invalidate.notify_channel of the moment of delivery
  std::string channel;
  std::string name;
  std::string payload;  // of a custom format: its program, see payload_program.hpp
  std::vector<std::uint32_t> servers;  // on which they may be published

  // In all but the servers.
  bool says_the_same(const Shape& other) const {
    return format == other.format && has_channel == other.has_channel && channel == other.channel && name == other.name &&
           payload == other.payload;
  }
  bool operator==(const Shape& other) const { return says_the_same(other) && servers == other.servers; }
};

// What the keys and patterns of one template have in common.
struct Scope {
  std::vector<std::uint32_t> servers;  // ids of those that they go to
  std::string glob;                    // of everything that the template could give

  bool operator==(const Scope& other) const { return servers == other.servers && glob == other.glob; }
};

// The numbers that a change set uses for scopes and shapes, resolved when the batch is written.
struct Vocabulary {
  std::vector<Scope> scopes;
  std::vector<Shape> shapes;
};

struct BatchHeader {
  std::uint64_t xid = 0;   // the whole 64-bit id of the top-level transaction
  std::int64_t time = 0;   // microseconds since 1970, taken as the transaction began to commit, or the part was written
  bool part = false;       // one of several parts of its transaction
};

struct ErrorRecord {
  std::string_view table;
  std::string_view operation;
  std::string_view message;
  std::string_view context;
};

class BatchWriter {
 public:
  // Begins a new batch, keeping the memory of the last. The vocabulary must outlive it. Of the parts of one
  // transaction, it may only have grown.
  void begin(BatchHeader header, const Vocabulary& vocabulary);

  // A key whose scope holds no server is left out.
  void key(std::uint32_t scope, std::string_view bytes);
  // A glob of keys, likewise.
  void pattern(std::uint32_t scope, std::string_view glob);
  // `fields`: a JSON fragment, or the values of a custom format. `exact`: the id names one record.
  void message(std::uint32_t shape, Operation operation, std::string_view id, std::string_view fields, bool exact = true);
  void error(std::string_view encoded);
  void probe(std::string_view bytes);

  // The finished chunks, one after the other, and where each ends.
  const std::string& bytes() const { return bytes_; }
  const std::vector<std::size_t>& chunk_ends();

 private:
  bool scoped(std::uint8_t kind, std::uint32_t scope, std::string_view bytes);
  bool ends_key(std::string_view id) const;
  std::size_t chunk_size() const { return bytes_.size() - chunk_start_; }
  void prepare(std::size_t item_size);
  void begin_chunk();
  void make_room_for(std::size_t definition);
  std::uint32_t define_scope(std::uint32_t index);
  std::uint32_t define_shape(std::uint32_t index);

  BatchHeader header_;
  const Vocabulary* vocabulary_ = nullptr;
  std::string bytes_;
  std::vector<std::size_t> ends_;
  std::size_t chunk_start_ = 0;
  std::size_t chunk_limit_ = 0;
  bool open_ = false;
  // What this chunk has defined, by its number there. A chunk uses few of what a session may know.
  std::vector<std::uint32_t> scopes_;
  std::vector<std::uint32_t> shapes_;
  // The last key of this chunk, in bytes_.
  std::size_t key_start_ = 0;
  std::size_t key_size_ = 0;
};

// The chunks of a batch for the ring: each behind its length.
void frame_chunks(std::string& out, const std::string& bytes, const std::vector<std::size_t>& ends);

std::string encode_error(const ErrorRecord& error);

// Reads chunks from untrusted bytes, one at a time.
class BatchReader {
 public:
  enum class Kind : std::uint8_t { scope = 1, shape = 2, key = 3, message = 4, error = 5, probe = 6, pattern = 7 };

  // What next() found; the views point into the chunk, the pointers into the reader.
  struct Item {
    Kind kind;
    const Scope* scope = nullptr;
    const Shape* shape = nullptr;
    std::string_view bytes;  // key, pattern or probe
    std::uint32_t shape_number = 0;  // in a part: tells tables apart whose shapes are equal
    Operation operation = Operation::update;
    bool exact = true;
    std::string_view id;
    std::string_view fields;
    ErrorRecord error;
  };

  BatchReader() = default;
  // Goes on to another chunk, keeping the memory of the last. False: it is no chunk of a batch of this version.
  bool begin(std::string_view chunk);
  // For a single chunk.
  static Result<BatchReader> open(std::string_view chunk);

  const BatchHeader& header() const { return header_; }

  // False at the end of the chunk, or when it is damaged: ask damaged().
  bool next(Item& item);
  bool damaged() const { return damaged_; }

 private:
  bool define_scope();
  bool define_shape();
  bool read_message(std::uint64_t owner, Item& item);
  bool fail() {
    damaged_ = true;
    return false;
  }

  ByteReader reader_{std::string_view()};
  BatchHeader header_;
  // The first so many are this chunk's, the others memory to be used again.
  std::vector<Scope> scopes_;
  std::vector<Shape> shapes_;
  std::size_t scope_count_ = 0;
  std::size_t shape_count_ = 0;
  std::vector<std::uint32_t> shape_numbers_;  // in a part
  std::string_view key_;                      // the last one of this chunk
  std::size_t longest_ = 0;                   // of the chunks whose memory is kept
  bool damaged_ = false;
};

}  // namespace cache_invalidate::core
