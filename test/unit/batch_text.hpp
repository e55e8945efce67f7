// Batches as lines of text, so that a test can say what it expects of one:
//   "key 7,9 task:1"   "pattern 7,9 task:*"   "message task UPDATE 1 \"a\":1"   "error tasks DELETE what
//   where"   "probe bytes"
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/batch.hpp"
#include "core/change_set.hpp"

namespace cache_invalidate::core {

inline std::string scope_text(const Scope& scope) {
  std::string text;
  for (const std::uint32_t server : scope.servers) text += (text.empty() ? "" : ",") + std::to_string(server);
  return text;
}

inline std::string item_text(const BatchReader::Item& item) {
  switch (item.kind) {
    case BatchReader::Kind::key:
      return "key " + scope_text(*item.scope) + " " + std::string(item.bytes);
    case BatchReader::Kind::pattern:
      return "pattern " + scope_text(*item.scope) + " " + std::string(item.bytes);
    case BatchReader::Kind::message:
      return "message " + item.shape->name + " " + std::string(operation_name(item.operation)) + " " +
             std::string(item.id) + " " + std::string(item.fields);
    case BatchReader::Kind::error:
      return "error " + std::string(item.error.table) + " " + std::string(item.error.operation) + " " +
             std::string(item.error.message) + " " + std::string(item.error.context);
    case BatchReader::Kind::probe:
      return "probe " + std::string(item.bytes);
    default:
      return "?";
  }
}

// The items of one chunk; an item "damaged" at the end if it is.
inline std::vector<std::string> chunk_text(std::string_view chunk) {
  Result<BatchReader> opened = BatchReader::open(chunk);
  if (!opened.ok()) return {"unreadable"};
  std::vector<std::string> lines;
  BatchReader::Item item;
  while (opened.value().next(item)) lines.push_back(item_text(item));
  if (opened.value().damaged()) lines.emplace_back("damaged");
  return lines;
}

inline std::vector<std::string_view> chunks_of(BatchWriter& writer) {
  std::vector<std::string_view> chunks;
  std::size_t start = 0;
  for (const std::size_t end : writer.chunk_ends()) {
    chunks.push_back(std::string_view(writer.bytes()).substr(start, end - start));
    start = end;
  }
  return chunks;
}

inline std::vector<std::string> batch_text(BatchWriter& writer) {
  std::vector<std::string> lines;
  for (const std::string_view chunk : chunks_of(writer)) {
    for (std::string& line : chunk_text(chunk)) lines.push_back(std::move(line));
  }
  return lines;
}

// Scope n is server n + 1, except that the last one is empty; shape n is called "s<n>".
inline const Vocabulary& test_vocabulary() {
  static const Vocabulary* vocabulary = [] {
    auto* made = new Vocabulary();
    for (std::uint32_t i = 0; i < 4; ++i) {
      made->scopes.push_back({{i + 1}, "*"});
      Shape shape;
      shape.name = "s" + std::to_string(i);
      made->shapes.push_back(shape);
    }
    made->scopes.emplace_back();
    return made;
  }();
  return *vocabulary;
}

inline std::vector<std::string> change_text(const ChangeSet& changes, std::uint32_t from = 0) {
  BatchWriter writer;
  writer.begin({1, 2}, test_vocabulary());
  changes.write(writer, from);
  return batch_text(writer);
}

}  // namespace cache_invalidate::core
