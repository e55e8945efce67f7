// Row: collects the columns of one row of a result, in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/latency.hpp"
#include "journal/board.hpp"
#include "pg/text.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::admin {

class Row {
 public:
  void add(Datum value) { put(value, false); }
  void add_null() { put(Datum(0), true); }
  void add_count(pg_atomic_uint64* counter) { add(Int64GetDatum(static_cast<int64>(pg_atomic_read_u64(counter)))); }
  void add_count(std::uint64_t count, bool is_known) { put(Int64GetDatum(static_cast<int64>(count)), !is_known); }
  void add_known(pg_atomic_uint64* figure) {
    const std::uint64_t value = pg_atomic_read_u64(figure);
    put(Int64GetDatum(static_cast<int64>(value)), value == journal::kUnknown);
  }
  // 0, InvalidOid and an empty text are NULL.
  void add_number(int number) { put(Int32GetDatum(number), number == 0); }
  void add_oid(Oid oid) { put(ObjectIdGetDatum(oid), !OidIsValid(oid)); }
  void add_time(TimestampTz time) { put(TimestampTzGetDatum(time), time == 0); }
  void add_text(const char* text) { put(CStringGetTextDatum(text), text[0] == '\0'); }
  // UTF-8; nullptr is NULL.
  void add_utf8(const std::string* text) { put(text == nullptr ? Datum(0) : text_of(*text), text == nullptr); }
  void add_list(const std::vector<std::string>& list) {
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * std::max<std::size_t>(list.size(), 1)));
    for (std::size_t i = 0; i < list.size(); ++i) elements[i] = text_of(list[i]);
    add(PointerGetDatum(construct_array(elements, static_cast<int>(list.size()), TEXTOID, -1, false, TYPALIGN_INT)));
  }
  // Percentiles in milliseconds.
  void add_latency(const core::Histogram& latency) {
    const bool is_empty = latency.count() == 0;
    for (const double part : {0.5, 0.95, 0.99, 1.0}) {
      put(Float8GetDatum(static_cast<double>(latency.percentile(part)) / 1000), is_empty);
    }
  }

  void store(ReturnSetInfo& result) { tuplestore_putvalues(result.setResult, result.setDesc, values_, nulls_); }
  int count() const { return count_; }
  Datum* values() { return values_; }
  bool* nulls() { return nulls_; }

 private:
  static constexpr int kMost = 40;
  static Datum text_of(const std::string& text) { return CStringGetTextDatum(pg::from_utf8_anyhow(text.c_str())); }
  void put(Datum value, bool is_null) {
    Assert(count_ < kMost);
    values_[count_] = value;
    nulls_[count_++] = is_null;
  }
  Datum values_[kMost];
  bool nulls_[kMost];
  int count_ = 0;
};

}  // namespace cache_invalidate::admin
