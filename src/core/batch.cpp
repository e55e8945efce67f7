#include "core/batch.hpp"

#include <algorithm>

namespace cache_invalidate::core {
namespace {

// A journal row of this size stays inline in the page, out of reach of the server's TOAST compression.
constexpr std::size_t kChunkBytes = 1900;
constexpr std::size_t kItemOverhead = 32;
constexpr std::size_t kLongDefinition = kChunkBytes / 2;
constexpr std::size_t kShareOfDefinition = 8;  // a chunk with a long definition is this much longer
constexpr std::size_t kKeptBytes = 256 * 1024;
constexpr std::size_t kKeptChunk = 64 * 1024;  // of a longer one the definitions' memory is given back
constexpr std::size_t kLongestServer = 5;  // bytes of a varint
constexpr std::uint32_t kLongOwner = 15;
constexpr std::uint64_t kMostServers = 4096;
constexpr std::uint8_t kInexact = 0x80;  // beside the operation
constexpr std::uint8_t kHasFields = 0x40;
constexpr std::uint8_t kEndsKey = 0x20;
constexpr std::uint8_t kServersOfScope = 0x80;  // beside the format

void put_tag(std::string& out, BatchReader::Kind kind, std::uint32_t owner = 0) {
  const auto high = static_cast<std::uint32_t>(kind) << 4;
  if (owner < kLongOwner) {
    out.push_back(static_cast<char>(high | owner));
  } else {
    out.push_back(static_cast<char>(high | kLongOwner));
    put_varint(out, owner);
  }
}

void put_servers(std::string& out, const std::vector<std::uint32_t>& servers) {
  put_varint(out, servers.size());
  for (const std::uint32_t server : servers) put_varint(out, server);
}

// False: more than anybody has.
bool read_servers(ByteReader& reader, std::vector<std::uint32_t>& servers) {
  const std::uint64_t count = reader.varint();
  servers.clear();
  if (!reader.ok() || count > kMostServers) return false;
  for (std::uint64_t i = 0; i < count; ++i) servers.push_back(static_cast<std::uint32_t>(reader.varint()));
  return true;
}

// The place behind the first `count`, with what was there before, which counts as well then.
template <typename T>
T& next_place(std::vector<T>& places, std::size_t& count) {
  if (count == places.size()) places.emplace_back();
  return places[count++];
}

std::size_t size_of(const Scope& scope) { return scope.servers.size() * kLongestServer + scope.glob.size(); }

std::size_t size_of(const Shape& shape) {
  return shape.channel.size() + shape.name.size() + shape.payload.size() + shape.servers.size() * kLongestServer;
}

bool contains(const std::vector<std::uint32_t>& defined, std::uint32_t number) {
  return std::find(defined.begin(), defined.end(), number) != defined.end();
}

}  // namespace

std::string_view operation_name(Operation operation) {
  switch (operation) {
    case Operation::insert: return "INSERT";
    case Operation::update: return "UPDATE";
    case Operation::remove: return "DELETE";
    case Operation::test: return "TEST";
    case Operation::truncate: return "TRUNCATE";
    case Operation::reset: return "RESET";
  }
  return "UPDATE";
}

void BatchWriter::begin(BatchHeader header, const Vocabulary& vocabulary) {
  header_ = header;
  vocabulary_ = &vocabulary;
  if (bytes_.capacity() > kKeptBytes) std::string().swap(bytes_);
  bytes_.clear();
  ends_.clear();
  open_ = false;
  key_size_ = 0;
}

void BatchWriter::begin_chunk() {
  if (open_) ends_.push_back(bytes_.size());
  chunk_start_ = bytes_.size();
  chunk_limit_ = kChunkBytes;
  open_ = true;
  scopes_.clear();
  shapes_.clear();
  key_size_ = 0;
  bytes_.push_back(static_cast<char>(header_.part ? kPartVersion : kBatchVersion));
  put_varint(bytes_, header_.xid);
  put_fixed64(bytes_, static_cast<std::uint64_t>(header_.time));
}

void BatchWriter::prepare(std::size_t item_size) {
  if (!open_ || chunk_size() + item_size + kItemOverhead > chunk_limit_) begin_chunk();
}

// It would not stay inline anyway, and for one item alone a long definition would be written again and again.
void BatchWriter::make_room_for(std::size_t definition) {
  if (definition > kLongDefinition) chunk_limit_ = std::max(chunk_limit_, definition * kShareOfDefinition);
}

std::uint32_t BatchWriter::define_scope(std::uint32_t index) {
  const auto known = std::find(scopes_.begin(), scopes_.end(), index);
  if (known != scopes_.end()) return static_cast<std::uint32_t>(known - scopes_.begin());
  const Scope& scope = vocabulary_->scopes[index];
  put_tag(bytes_, BatchReader::Kind::scope);
  put_servers(bytes_, scope.servers);
  put_bytes(bytes_, scope.glob);
  make_room_for(scope.glob.size());
  scopes_.push_back(index);
  return static_cast<std::uint32_t>(scopes_.size() - 1);
}

std::uint32_t BatchWriter::define_shape(std::uint32_t index) {
  const auto known = std::find(shapes_.begin(), shapes_.end(), index);
  if (known != shapes_.end()) return static_cast<std::uint32_t>(known - shapes_.begin());
  const Shape& shape = vocabulary_->shapes[index];
  put_tag(bytes_, BatchReader::Kind::shape);
  const bool has_servers_of_scope = !scopes_.empty() && vocabulary_->scopes[scopes_.back()].servers == shape.servers;
  const auto flags = static_cast<std::uint32_t>(shape.format) << 1 | (shape.has_channel ? 1U : 0U) | (has_servers_of_scope ? kServersOfScope : 0U);
  bytes_.push_back(static_cast<char>(flags));
  if (shape.has_channel) put_bytes(bytes_, shape.channel);
  put_bytes(bytes_, shape.name);
  if (shape.format == Format::custom) put_bytes(bytes_, shape.payload);
  if (!has_servers_of_scope) put_servers(bytes_, shape.servers);
  make_room_for(shape.payload.size());
  if (header_.part) put_varint(bytes_, index);
  shapes_.push_back(index);
  return static_cast<std::uint32_t>(shapes_.size() - 1);
}

// False: it goes nowhere.
bool BatchWriter::scoped(std::uint8_t kind, std::uint32_t scope, std::string_view item) {
  const Scope& definition = vocabulary_->scopes[scope];
  if (definition.servers.empty()) return false;
  prepare(item.size() + (open_ && contains(scopes_, scope) ? 0 : size_of(definition)));
  const std::uint32_t owner = define_scope(scope);
  put_tag(bytes_, static_cast<BatchReader::Kind>(kind), owner);
  put_bytes(bytes_, item);
  return true;
}

void BatchWriter::key(std::uint32_t scope, std::string_view key_bytes) {
  if (!scoped(static_cast<std::uint8_t>(BatchReader::Kind::key), scope, key_bytes)) return;
  key_start_ = bytes_.size() - key_bytes.size();
  key_size_ = key_bytes.size();
}

void BatchWriter::pattern(std::uint32_t scope, std::string_view glob) {
  scoped(static_cast<std::uint8_t>(BatchReader::Kind::pattern), scope, glob);
}

// As in "task:42", mostly.
bool BatchWriter::ends_key(std::string_view id) const {
  return !id.empty() && id.size() <= key_size_ &&
         std::string_view(bytes_).substr(key_start_ + key_size_ - id.size(), id.size()) == id;
}

void BatchWriter::message(std::uint32_t shape, Operation operation, std::string_view id, std::string_view fields, bool exact) {
  const bool is_defined = open_ && contains(shapes_, shape);
  bool is_short = ends_key(id);
  prepare((is_short ? 0 : id.size()) + fields.size() + (is_defined ? 0 : size_of(vocabulary_->shapes[shape])));
  is_short = is_short && key_size_ > 0;  // the key may have stayed behind in another chunk
  const std::uint32_t owner = define_shape(shape);
  put_tag(bytes_, BatchReader::Kind::message, owner);
  bytes_.push_back(static_cast<char>(static_cast<std::uint8_t>(operation) | (exact ? 0 : kInexact) | (fields.empty() ? 0 : kHasFields) |
                                     (is_short ? kEndsKey : 0)));
  put_varint(bytes_, id.size());
  if (!is_short) bytes_.append(id);
  if (!fields.empty()) put_bytes(bytes_, fields);
}

void BatchWriter::error(std::string_view encoded) {
  prepare(encoded.size());
  put_tag(bytes_, BatchReader::Kind::error);
  bytes_.append(encoded);
}

void BatchWriter::probe(std::string_view probe_bytes) {
  prepare(probe_bytes.size());
  put_tag(bytes_, BatchReader::Kind::probe);
  put_bytes(bytes_, probe_bytes);
}

const std::vector<std::size_t>& BatchWriter::chunk_ends() {
  if (header_.part && !open_ && ends_.empty()) begin_chunk();
  if (open_) {
    ends_.push_back(bytes_.size());
    open_ = false;
  }
  return ends_;
}

void frame_chunks(std::string& out, const std::string& bytes, const std::vector<std::size_t>& ends) {
  out.clear();
  std::size_t start = 0;
  for (const std::size_t end : ends) {
    put_bytes(out, std::string_view(bytes).substr(start, end - start));
    start = end;
  }
}

std::string encode_error(const ErrorRecord& error) {
  std::string out;
  put_bytes(out, error.table);
  put_bytes(out, error.operation);
  put_bytes(out, error.message);
  put_bytes(out, error.context);
  return out;
}

bool BatchReader::begin(std::string_view chunk) {
  if (longest_ > kKeptChunk) {
    std::vector<Scope>().swap(scopes_);
    std::vector<Shape>().swap(shapes_);
    longest_ = 0;
  }
  longest_ = std::max(longest_, chunk.size());
  reader_ = ByteReader(chunk);
  scope_count_ = shape_count_ = 0;
  shape_numbers_.clear();
  key_ = {};
  damaged_ = false;
  const std::uint8_t version = reader_.byte();
  header_.xid = reader_.varint();
  header_.time = static_cast<std::int64_t>(reader_.fixed64());
  header_.part = version == kPartVersion;
  return reader_.ok() && (version == kBatchVersion || version == kPartVersion);
}

Result<BatchReader> BatchReader::open(std::string_view chunk) {
  BatchReader reader;
  if (!reader.begin(chunk)) return Error{sqlstate::kDataCorrupted, "journal row is not a batch of this version", "", ""};
  return reader;
}

bool BatchReader::define_scope() {
  Scope& scope = next_place(scopes_, scope_count_);
  if (!read_servers(reader_, scope.servers)) return fail();
  scope.glob = reader_.bytes();
  return reader_.ok() || fail();
}

bool BatchReader::define_shape() {
  Shape& shape = next_place(shapes_, shape_count_);
  const std::uint8_t flags = reader_.byte();
  const auto format = static_cast<std::uint8_t>((flags & ~kServersOfScope) >> 1);
  if (format > static_cast<std::uint8_t>(Format::custom)) return fail();
  shape.format = static_cast<Format>(format);
  shape.has_channel = (flags & 1) != 0;
  shape.channel = shape.has_channel ? reader_.bytes() : std::string_view();
  shape.name = reader_.bytes();
  shape.payload = shape.format == Format::custom ? reader_.bytes() : std::string_view();
  if ((flags & kServersOfScope) == 0) {
    if (!read_servers(reader_, shape.servers)) return fail();
  } else {
    if (scope_count_ == 0) return fail();
    shape.servers = scopes_[scope_count_ - 1].servers;
  }
  if (header_.part) shape_numbers_.push_back(static_cast<std::uint32_t>(reader_.varint()));
  return reader_.ok() || fail();
}

bool BatchReader::read_message(std::uint64_t owner, Item& item) {
  const std::uint8_t said = reader_.byte();
  const auto operation = static_cast<std::uint8_t>(said & ~(kInexact | kHasFields | kEndsKey));
  if (owner >= shape_count_ || operation > static_cast<std::uint8_t>(Operation::reset)) return false;
  item.shape = &shapes_[owner];
  if (header_.part) item.shape_number = shape_numbers_[owner];
  item.exact = (said & kInexact) == 0;
  item.operation = static_cast<Operation>(operation);
  if ((said & kEndsKey) != 0) {
    const std::uint64_t size = reader_.varint();
    if (size > key_.size()) return false;
    item.id = key_.substr(key_.size() - static_cast<std::size_t>(size));
  } else {
    item.id = reader_.bytes();
  }
  item.fields = (said & kHasFields) != 0 ? reader_.bytes() : std::string_view();
  return true;
}

bool BatchReader::next(Item& item) {
  while (!reader_.at_end()) {
    const std::uint8_t tag = reader_.byte();
    item.kind = static_cast<Kind>(tag >> 4);
    std::uint64_t owner = tag & kLongOwner;
    if (owner == kLongOwner) owner = reader_.varint();
    switch (item.kind) {
      case Kind::scope:
        if (!define_scope()) return false;
        continue;
      case Kind::shape:
        if (!define_shape()) return false;
        continue;
      case Kind::key:
      case Kind::pattern:
        if (owner >= scope_count_) return fail();
        item.scope = &scopes_[owner];
        item.bytes = reader_.bytes();
        if (item.kind == Kind::key) key_ = item.bytes;
        break;
      case Kind::message:
        if (!read_message(owner, item)) return fail();
        break;
      case Kind::error:
        item.error.table = reader_.bytes();
        item.error.operation = reader_.bytes();
        item.error.message = reader_.bytes();
        item.error.context = reader_.bytes();
        break;
      case Kind::probe:
        item.bytes = reader_.bytes();
        break;
      default:
        return fail();
    }
    return reader_.ok() || fail();
  }
  return false;
}

}  // namespace cache_invalidate::core
