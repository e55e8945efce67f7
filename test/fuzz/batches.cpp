// A row of the journal: whatever its bytes are, what is read of it says the same when it is written again, and what the worker
// makes of it keeps its promises: no key is forgotten, no message is too long.
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/backlog.hpp"
#include "core/batch.hpp"
#include "core/bytes.hpp"
#include "core/glob.hpp"
#include "core/message_queue.hpp"
#include "core/payload.hpp"
#include "targets.hpp"

namespace cache_invalidate::fuzz {
namespace {

using Kind = core::BatchReader::Kind;

// An item with all that it points to. `owner`: the number in the vocabulary of its scope or shape.
struct Item {
  Kind kind;
  std::size_t owner = 0;
  std::vector<std::string> texts;
  core::Operation operation = core::Operation::update;
  bool exact = true;

  bool operator==(const Item& other) const {
    return kind == other.kind && owner == other.owner && texts == other.texts && operation == other.operation && exact == other.exact;
  }
};

struct Batch {
  core::BatchHeader header;
  core::Vocabulary vocabulary;
  std::vector<std::uint32_t> shape_numbers;  // that the writer gave to the shapes; in a part
  std::vector<Item> items;
  bool damaged = false;
};

std::size_t number_of(Batch& batch, const core::Scope& scope) {
  auto& scopes = batch.vocabulary.scopes;
  const auto known = std::find(scopes.begin(), scopes.end(), scope);
  if (known != scopes.end()) return static_cast<std::size_t>(known - scopes.begin());
  scopes.push_back(scope);
  return scopes.size() - 1;
}

std::size_t number_of(Batch& batch, const core::Shape& shape, std::uint32_t shape_number) {
  auto& shapes = batch.vocabulary.shapes;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (batch.shape_numbers[i] == shape_number && shapes[i] == shape) return i;
  }
  shapes.push_back(shape);
  batch.shape_numbers.push_back(shape_number);
  return shapes.size() - 1;
}

void take(Batch& batch, const core::BatchReader::Item& found) {
  Item item;
  item.kind = found.kind;
  switch (found.kind) {
    case Kind::key:
    case Kind::pattern:
      if (found.scope->servers.empty()) return;  // it goes nowhere, and is not written
      item.owner = number_of(batch, *found.scope);
      item.texts = {std::string(found.bytes)};
      break;
    case Kind::message:
      item.owner = number_of(batch, *found.shape, batch.header.part ? found.shape_number : 0);
      item.texts = {std::string(found.id), std::string(found.fields)};
      item.operation = found.operation;
      item.exact = found.exact;
      break;
    case Kind::error:
      item.texts = {std::string(found.error.table), std::string(found.error.operation), std::string(found.error.message),
                    std::string(found.error.context)};
      break;
    default:
      require(found.kind == Kind::probe, "only items are found");
      item.texts = {std::string(found.bytes)};
  }
  batch.items.push_back(std::move(item));
}

Batch read(const std::vector<std::string_view>& chunks) {
  Batch batch;
  for (const std::string_view chunk : chunks) {
    require(core::is_batch(chunk), "a chunk is known as one");
    core::Result<core::BatchReader> opened = core::BatchReader::open(chunk);
    if (!opened.ok()) {
      batch.damaged = true;
      return batch;
    }
    batch.header = opened.value().header();
    core::BatchReader::Item item;
    while (opened.value().next(item)) take(batch, item);
    batch.damaged = opened.value().damaged();
  }
  return batch;
}

std::string write(const Batch& batch) {
  core::BatchWriter writer;
  writer.begin(batch.header, batch.vocabulary);
  for (const Item& item : batch.items) {
    const auto owner = static_cast<std::uint32_t>(item.owner);
    const auto& texts = item.texts;
    switch (item.kind) {
      case Kind::key: writer.key(owner, texts[0]); break;
      case Kind::pattern: writer.pattern(owner, texts[0]); break;
      case Kind::message: writer.message(owner, item.operation, texts[0], texts[1], item.exact); break;
      case Kind::error: writer.error(core::encode_error({texts[0], texts[1], texts[2], texts[3]})); break;
      default: writer.probe(texts[0]);
    }
  }
  std::string framed;
  const std::vector<std::size_t>& ends = writer.chunk_ends();
  core::frame_chunks(framed, writer.bytes(), ends);
  return framed;
}

std::vector<std::string_view> chunks_of(std::string_view framed) {
  std::vector<std::string_view> chunks;
  core::ByteReader reader(framed);
  while (!reader.at_end()) chunks.push_back(reader.bytes());
  require(reader.ok(), "a frame holds whole chunks");
  return chunks;
}

void check_written_again(const Batch& batch) {
  const std::string framed = write(batch);
  const Batch again = read(chunks_of(framed));
  require(!again.damaged, "what was written is whole");
  require(again.items == batch.items, "what was read is written as it was");
  if (framed.empty()) return;
  require(again.header.xid == batch.header.xid && again.header.time == batch.header.time && again.header.part == batch.header.part,
          "so is whose it is");
  require(again.vocabulary.scopes == batch.vocabulary.scopes && again.vocabulary.shapes == batch.vocabulary.shapes,
          "and what its items have in common");
  for (std::size_t i = 0; batch.header.part && i < again.shape_numbers.size(); ++i) {
    require(again.shape_numbers[i] == i, "a shape has its writer's number");
  }
  require(write(again) == framed, "the same batch is the same bytes");
}

// Small limits, so that a few items are too many.
void check_owed(const Batch& batch) {
  core::Backlog::Limits limits;
  limits.patterns = 6;
  limits.families = 4;
  limits.longest_family = 64;
  core::Backlog backlog(limits);
  std::vector<std::string> keys;
  std::uint64_t position = 0;
  for (const Item& item : batch.items) {
    if (item.kind != Kind::key && item.kind != Kind::pattern) continue;
    const std::string& family = batch.vocabulary.scopes[item.owner].glob;
    const std::string& bytes = item.texts[0];
    // A stranger's glob need not match what is said to be of its family.
    if (item.kind == Kind::key && (family.empty() || core::Glob(family).matches(bytes))) {
      backlog.add_key(bytes, family, ++position);
      keys.push_back(bytes);
    } else if (item.kind == Kind::pattern) {
      backlog.add_pattern(bytes, bytes == family ? family : "", ++position);
    }
    backlog.note_position(position);
    backlog.keep_within(5);
  }
  std::vector<core::Glob> patterns;
  std::vector<std::string_view> owed;
  backlog.for_each([&](bool is_pattern, std::string_view bytes, std::string_view) {
    if (is_pattern) {
      patterns.emplace_back(bytes);
    } else {
      owed.push_back(bytes);
    }
  });
  for (const std::string& key : keys) {
    const bool is_covered = std::find(owed.begin(), owed.end(), key) != owed.end() ||
                            std::any_of(patterns.begin(), patterns.end(), [&](const core::Glob& glob) { return glob.matches(key); });
    require(is_covered, "what was owed is covered by what is");
  }
  require(position == 0 || (backlog.size() > 0 && backlog.acknowledged() == 0), "nothing was acknowledged");
}

void check_said(const Batch& batch) {
  core::MessageQueue queue;
  std::map<std::string, bool> resources;  // of which something was said: is it said still
  std::uint64_t position = 0;
  if (batch.header.part) queue.note_part(batch.header);
  for (const Item& item : batch.items) {
    if (item.kind != Kind::message) continue;
    const core::Shape& shape = batch.vocabulary.shapes[item.owner];
    const core::Message message{shape, item.operation, item.texts[0], item.texts[1], batch.header};
    for (const bool ascii_only : {false, true}) {
      require(core::render_payload(message, ascii_only, 7).size() <= core::kPayloadLimit, "a message fits NOTIFY");
    }
    if (batch.header.part) {
      queue.add_part(message, batch.shape_numbers[item.owner], item.exact, ++position);
      continue;
    }
    queue.add(shape, item.operation, item.texts[0], item.texts[1], batch.header, ++position);
    resources[shape.name] = false;
  }
  const std::size_t waiting = queue.size();
  queue.sort_by_time();
  std::size_t said = 0;
  for (const core::MessageQueue::Waiting* next = queue.front(); next != nullptr; next = queue.front()) {
    require(next->position >= 1 && next->position <= position, "a message has the position that it came at");
    resources[next->message.shape.name] = true;
    ++said;
    queue.pop();
  }
  require(said <= waiting && queue.bytes() == 0, "what was said waits no more");
  // In a part an insert and a delete are nothing.
  for (const auto& resource : resources) require(resource.second, "what changed is told");
}

}  // namespace

void batches(std::string_view input) {
  if (!core::is_batch(input)) {
    require(!core::BatchReader::open(input).ok(), "what is no batch cannot be read as one");
    return;
  }
  const Batch batch = read({input});
  check_owed(batch);
  check_said(batch);
  check_written_again(batch);
}

}  // namespace cache_invalidate::fuzz
