#include "keys.hpp"

#include <algorithm>
#include <iterator>

namespace cache_invalidate::bench {

namespace {

// Of tables whose key is not "id". The names are as they stand in the JSON.
struct Keyed {
  std::string_view table;
  std::string_view columns[3];
};
constexpr Keyed kKeyed[] = {
    {"pgbench_accounts", {R"({"name":"aid")"}},
    {"pgbench_branches", {R"({"name":"bid")"}},
    {"pgbench_tellers", {R"({"name":"tid")"}},
    {"pgbench_history", {R"({"name":"tid")", R"({"name":"bid")", R"({"name":"aid")"}},
};
constexpr Keyed kOthers{{}, {R"({"name":"id")"}};

constexpr std::string_view kTable = R"("table":")";
constexpr std::string_view kValue = R"("value":)";

// What stands in quotation marks at `text`'s begin, which moves behind it; a mark in it is doubled.
std::string unquote(std::string_view& text, char mark) {
  std::string found;
  text.remove_prefix(1);
  while (!text.empty()) {
    const bool is_mark = text.front() == mark;
    if (is_mark) text.remove_prefix(1);
    if (is_mark && (text.empty() || text.front() != mark)) break;
    found += text.front();
    text.remove_prefix(1);
  }
  return found;
}

// From behind "value": to the end of a number or a string.
std::string_view value_at(std::string_view text) {
  const bool is_string = !text.empty() && text.front() == '"';
  if (is_string) text.remove_prefix(1);
  return text.substr(0, is_string ? text.find('"') : text.find_first_of(",}"));
}

}  // namespace

std::string key_of_tcn(std::string_view payload) {
  if (payload.empty()) return {};
  std::string key = unquote(payload, '"');
  for (;;) {
    const std::size_t value = payload.find('\'');
    if (value == std::string_view::npos) return key;
    payload.remove_prefix(value);
    key += ':';
    key += unquote(payload, '\'');
  }
}

// Inside a JSON string a quotation mark is escaped: what is sought can only be found where it is meant.
std::string key_of_wal2json(std::string_view change) {
  const std::size_t table = change.find(kTable);
  if (table == std::string_view::npos) return {};
  change.remove_prefix(table + kTable.size());
  std::string key(change.substr(0, change.find('"')));
  const auto known = std::find_if(std::begin(kKeyed), std::end(kKeyed),
                                  [&key](const Keyed& keyed) { return keyed.table == key; });
  const Keyed& keyed = known == std::end(kKeyed) ? kOthers : *known;
  for (const std::string_view column : keyed.columns) {
    if (column.empty()) break;
    const std::size_t place = change.find(column);
    const std::size_t value = place == std::string_view::npos ? place : change.find(kValue, place);
    if (value == std::string_view::npos) return {};
    key += ':';
    key += value_at(change.substr(value + kValue.size()));
  }
  return key;
}

}  // namespace cache_invalidate::bench
