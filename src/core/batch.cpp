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
constexpr std::size_t kLongestServer = 5;  // bytes of a varint
constexpr std::uint32_t kLongOwner = 15;
constexpr std::uint64_t kMostServers = 4096;
constexpr std::uint8_t kInexact = 0x80;  // beside the operation
constexpr std::uint8_t kHasFields = 0x40;
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
  if (!reader.ok() || count > kMostServers) return false;
  for (std::uint64_t i = 0; i < count; ++i) servers.push_back(static_cast<std::uint32_t>(reader.varint()));
  return true;
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
}

void BatchWriter::begin_chunk() {
  if (open_) ends_.push_back(bytes_.size());
  chunk_start_ = bytes_.size();
  chunk_limit_ = kChunkBytes;
  open_ = true;
  scopes_.clear();
  shapes_.clear();
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

void BatchWriter::scoped(std::uint8_t kind, std::uint32_t scope, std::string_view item) {
  const Scope& definition = vocabulary_->scopes[scope];
  if (definition.servers.empty()) return;
  prepare(item.size() + (open_ && contains(scopes_, scope) ? 0 : size_of(definition)));
  const std::uint32_t owner = define_scope(scope);
  put_tag(bytes_, static_cast<BatchReader::Kind>(kind), owner);
  put_bytes(bytes_, item);
}

void BatchWriter::key(std::uint32_t scope, std::string_view key_bytes) {
  scoped(static_cast<std::uint8_t>(BatchReader::Kind::key), scope, key_bytes);
}

void BatchWriter::pattern(std::uint32_t scope, std::string_view glob) {
  scoped(static_cast<std::uint8_t>(BatchReader::Kind::pattern), scope, glob);
}

void BatchWriter::message(std::uint32_t shape, Operation operation, std::string_view id, std::string_view fields, bool exact) {
  const bool is_defined = open_ && contains(shapes_, shape);
  prepare(id.size() + fields.size() + (is_defined ? 0 : size_of(vocabulary_->shapes[shape])));
  const std::uint32_t owner = define_shape(shape);
  put_tag(bytes_, BatchReader::Kind::message, owner);
  bytes_.push_back(static_cast<char>(static_cast<std::uint8_t>(operation) | (exact ? 0 : kInexact) | (fields.empty() ? 0 : kHasFields)));
  put_bytes(bytes_, id);
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

Result<BatchReader> BatchReader::open(std::string_view chunk) {
  BatchReader reader(chunk);
  const std::uint8_t version = reader.reader_.byte();
  reader.header_.xid = reader.reader_.varint();
  reader.header_.time = static_cast<std::int64_t>(reader.reader_.fixed64());
  reader.header_.part = version == kPartVersion;
  if (!reader.reader_.ok() || (version != kBatchVersion && version != kPartVersion)) {
    return Error{sqlstate::kDataCorrupted, "journal row is not a batch of this version", "", ""};
  }
  return reader;
}

bool BatchReader::define(Kind kind) {
  if (kind == Kind::scope) {
    Scope scope;
    if (!read_servers(reader_, scope.servers)) return fail();
    scope.glob = reader_.bytes();
    scopes_.push_back(std::move(scope));
  } else {
    Shape shape;
    const std::uint8_t flags = reader_.byte();
    const auto format = static_cast<std::uint8_t>((flags & ~kServersOfScope) >> 1);
    if (format > static_cast<std::uint8_t>(Format::custom)) return fail();
    shape.format = static_cast<Format>(format);
    shape.has_channel = (flags & 1) != 0;
    if (shape.has_channel) shape.channel = reader_.bytes();
    shape.name = reader_.bytes();
    if (shape.format == Format::custom) shape.payload = reader_.bytes();
    if ((flags & kServersOfScope) == 0) {
      if (!read_servers(reader_, shape.servers)) return fail();
    } else {
      if (scopes_.empty()) return fail();
      shape.servers = scopes_.back().servers;
    }
    if (header_.part) shape_numbers_.push_back(static_cast<std::uint32_t>(reader_.varint()));
    shapes_.push_back(std::move(shape));
  }
  return reader_.ok() || fail();
}

bool BatchReader::next(Item& item) {
  while (!reader_.at_end()) {
    const std::uint8_t tag = reader_.byte();
    item.kind = static_cast<Kind>(tag >> 4);
    std::uint64_t owner = tag & kLongOwner;
    if (owner == kLongOwner) owner = reader_.varint();
    switch (item.kind) {
      case Kind::scope:
      case Kind::shape:
        if (!define(item.kind)) return false;
        continue;
      case Kind::key:
      case Kind::pattern:
        if (owner >= scopes_.size()) return fail();
        item.scope = &scopes_[owner];
        item.bytes = reader_.bytes();
        break;
      case Kind::message: {
        const std::uint8_t said = reader_.byte();
        const std::uint8_t operation = said & static_cast<std::uint8_t>(~(kInexact | kHasFields));
        if (owner >= shapes_.size() || operation > static_cast<std::uint8_t>(Operation::reset)) return fail();
        item.shape = &shapes_[owner];
        if (header_.part) item.shape_number = shape_numbers_[owner];
        item.exact = (said & kInexact) == 0;
        item.operation = static_cast<Operation>(operation);
        item.id = reader_.bytes();
        item.fields = (said & kHasFields) != 0 ? reader_.bytes() : std::string_view();
        break;
      }
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
