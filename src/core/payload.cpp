#include "core/payload.hpp"

#include <cstdio>

#include "core/json.hpp"

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kDay = 86400;

struct Moment {
  std::int64_t seconds;
  std::int64_t fraction;  // microseconds, never negative
};

Moment split(std::int64_t microseconds) {
  Moment moment{microseconds / kSecond, microseconds % kSecond};
  if (moment.fraction < 0) moment = {moment.seconds - 1, moment.fraction + kSecond};
  return moment;
}

struct Date {
  std::int64_t year;
  unsigned month;
  unsigned day;
};

// Proleptic Gregorian date of a day number (0 is 1970-01-01), counted in 400-year eras that begin in March,
// so that the leap day is the last of its year.
Date date_of(std::int64_t day_number) {
  const std::int64_t shifted = day_number + 719468;
  const std::int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(shifted - era * 146097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += name;
  append_json_string(out, text);
}

std::string render(const Message& message, bool with_fields, bool with_id) {
  const bool record = message.shape.format == Format::record;
  std::string out;
  append_member(out, record ? "{\"table\":" : "{\"resource\":", message.shape.name);
  if (record) append_member(out, ",\"operation\":", operation_name(message.operation));
  if (with_id && !message.id.empty()) append_member(out, record ? ",\"record_id\":" : ",\"id\":", message.id);
  if (!record) append_member(out, ",\"action\":", operation_name(message.operation));
  if (with_fields && !message.fields.empty()) {
    out += ',';
    out += message.fields;
  }
  out += ",\"timestamp\":";
  if (record) {
    out += epoch_timestamp(message.origin.time);
    out += ",\"batch_id\":\"" + std::to_string(message.origin.xid) + "\"}";
  } else {
    out += '"' + iso_timestamp(message.origin.time) + "\"}";
  }
  return out;
}

}  // namespace

std::string iso_timestamp(std::int64_t microseconds) {
  const Moment moment = split(microseconds);
  std::int64_t day = moment.seconds / kDay;
  std::int64_t second = moment.seconds % kDay;
  if (second < 0) second += kDay, --day;
  const Date date = date_of(day);
  char text[80];
  std::snprintf(text, sizeof text, "%04lld-%02u-%02uT%02lld:%02lld:%02lld.%06lld+00:00", static_cast<long long>(date.year),
                date.month, date.day, static_cast<long long>(second / 3600), static_cast<long long>(second / 60 % 60),
                static_cast<long long>(second % 60), static_cast<long long>(moment.fraction));
  return text;
}

std::string epoch_timestamp(std::int64_t microseconds) {
  const bool negative = microseconds < 0;
  // Unsigned, since the smallest number has no positive counterpart.
  const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(microseconds) : static_cast<std::uint64_t>(microseconds);
  char text[48];
  std::snprintf(text, sizeof text, "%s%llu.%06llu", negative ? "-" : "", static_cast<unsigned long long>(size / kSecond),
                static_cast<unsigned long long>(size % kSecond));
  return text;
}

std::string render_payload(const Message& message, bool ascii_only) {
  struct Step {
    bool with_fields, with_id;
  };
  std::string out;
  for (const Step step : {Step{true, true}, Step{false, true}, Step{false, false}}) {
    out = render(message, step.with_fields, step.with_id);
    if (ascii_only) out = json_to_ascii(out);
    if (out.size() <= kPayloadLimit) break;
  }
  return out;
}

}  // namespace cache_invalidate::core
