#include "core/payload.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/json.hpp"

namespace cache_invalidate::core {
namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kDay = 86400;
constexpr std::size_t kFrame = 160;  // bytes: what a ready shape has beside the message's own text, or somewhat more

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

// With zeros before it, if it has fewer digits than that.
void append_number(std::string& out, std::uint64_t number, std::size_t digits) {
  char text[20];
  const auto size = static_cast<std::size_t>(std::to_chars(text, text + sizeof text, number).ptr - text);
  if (size < digits) out.append(digits - size, '0');
  out.append(text, size);
}

// How much of a message there is room for.
struct Step {
  bool with_fields, with_id;
};

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += name;
  append_json_string(out, text);
}

// The last members of a ready shape.
void append_origin(std::string& out, const Message& message, bool record) {
  out += ",\"timestamp\":";
  if (record) {
    out += epoch_timestamp(message.origin.time);
    out += ",\"batch_id\":\"" + std::to_string(message.origin.xid) + "\"}";
  } else {
    out += '"';
    out += iso_timestamp(message.origin.time);
    out += "\"}";
  }
}

std::string render_ready(const Message& message, Step step) {
  const bool record = message.shape.format == Format::record;
  std::string out;
  out.reserve(kFrame + message.text_size());
  append_member(out, record ? "{\"table\":" : "{\"resource\":", message.shape.name);
  if (record) append_member(out, ",\"operation\":", operation_name(message.operation));
  if (step.with_id && !message.id.empty()) append_member(out, record ? ",\"record_id\":" : ",\"id\":", message.id);
  if (!record) append_member(out, ",\"action\":", operation_name(message.operation));
  if (step.with_fields && !message.fields.empty()) {
    out += ',';
    out += message.fields;
  }
  append_origin(out, message, record);
  return out;
}

// Leaves at most so many bytes, and no half of a character.
void cut(std::string_view& text, std::size_t size) {
  if (size >= text.size()) return;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  text = text.substr(0, size);
}

std::string render_reset(const Message& message, std::string_view reason, bool ascii_only) {
  const bool record = message.shape.format != Format::resource;
  std::string out;
  append_member(out, "{\"type\":\"reset\",\"reason\":", reason);
  out += record ? ",\"table\":" : ",\"resource\":";
  if (message.shape.name.empty()) {
    out += "null";
  } else {
    append_json_string(out, message.shape.name);
  }
  append_member(out, record ? ",\"operation\":" : ",\"action\":", operation_name(message.operation));
  append_origin(out, message, record);
  return ascii_only ? json_to_ascii(out) : out;
}

// As much of the reason as there is room for.
std::string render_reset(const Message& message, bool ascii_only) {
  std::string_view reason = message.id;
  cut(reason, kPayloadLimit);
  std::string out = render_reset(message, reason, ascii_only);
  while (out.size() > kPayloadLimit && !reason.empty()) {
    // A byte takes at most six in JSON.
    const std::size_t excess = (out.size() - kPayloadLimit + 5) / 6;
    cut(reason, reason.size() - std::min(excess, reason.size()));
    out = render_reset(message, reason, ascii_only);
  }
  return out;
}

// Runs the program of a custom format. A member that needs what the message does not have is left out.
class PayloadRun {
 public:
  PayloadRun(const Message& message, std::uint64_t lsn) : message_(message), lsn_(lsn) {
    for (ByteReader values(message.fields); !values.at_end();) {
      const std::uint64_t size = values.varint();
      std::string_view json = values.rest();
      is_damaged_ = is_damaged_ || !values.ok() || size > json.size() + 1;
      if (is_damaged_) return;
      json = json.substr(0, size == 0 ? 0 : static_cast<std::size_t>(size - 1));
      values_.push_back({json, size > 0});
      values = ByteReader(values.rest().substr(json.size()));
    }
  }

  std::string render(Step step) {
    step_ = step;
    out_ = "{";
    for (ByteReader members(message_.shape.payload); !members.at_end() && !is_damaged_;) {
      const std::string_view program = members.bytes();
      is_damaged_ = is_damaged_ || !members.ok() || program.empty();
      const std::size_t start = out_.size();
      if (start > 1) out_ += ',';
      if (!member(ByteReader(program))) out_.resize(start);
    }
    out_ += '}';
    return std::move(out_);
  }

  bool is_damaged() const { return is_damaged_; }

 private:
  struct Value {
    std::string_view json;
    bool is_known;
  };

  // False: it is left out.
  bool member(ByteReader program) {
    bool complete = true;
    while (!program.at_end()) {
      const std::uint8_t part = program.byte();
      if (part == static_cast<std::uint8_t>(PayloadPart::literal)) {
        append(program.bytes());
        continue;
      }
      const std::uint64_t number = program.varint();
      if (part == static_cast<std::uint8_t>(PayloadPart::value)) {
        complete = value(number) && complete;
      } else if (part <= static_cast<std::uint8_t>(PayloadPart::inside) && number <= static_cast<std::uint64_t>(kLastSentVariable)) {
        complete = variable(static_cast<PayloadPart>(part), static_cast<PayloadVariable>(number)) && complete;
      } else {
        is_damaged_ = true;
      }
      if (is_damaged_) return false;
    }
    is_damaged_ = is_damaged_ || !program.ok();
    return complete && !is_damaged_;
  }

  bool value(std::uint64_t number) {
    if (!step_.with_fields || message_.id.empty() || number >= values_.size()) return false;
    const Value& value = values_[static_cast<std::size_t>(number)];
    append(value.json);
    return value.is_known;
  }

  bool variable(PayloadPart part, PayloadVariable variable) {
    if (variable == PayloadVariable::id && (!step_.with_id || message_.id.empty())) return false;
    std::string json;
    if (part == PayloadPart::inside) {
      append_json_text(json, text_of(variable));
    } else {
      append_json_value(json, text_of(variable), part == PayloadPart::number ? JsonKind::number : JsonKind::text);
    }
    append(json);
    return true;
  }

  std::string text_of(PayloadVariable variable) const {
    switch (variable) {
      case PayloadVariable::operation: return std::string(operation_name(message_.operation));
      case PayloadVariable::id: return message_.id;
      case PayloadVariable::batch_id: return std::to_string(message_.origin.xid);
      case PayloadVariable::timestamp: return iso_timestamp(message_.origin.time);
      case PayloadVariable::epoch: return epoch_timestamp(message_.origin.time);
      case PayloadVariable::lsn: return lsn_text(lsn_);
      default: return "";
    }
  }

  // What is too long already need not grow: a damaged program could name one long value a million times.
  void append(std::string_view json) {
    if (out_.size() <= kPayloadLimit) out_ += json;
  }

  const Message& message_;
  const std::uint64_t lsn_;
  std::vector<Value> values_;
  bool is_damaged_ = false;
  Step step_{true, true};
  std::string out_;
};

constexpr Step kLadder[] = {{true, true}, {false, true}, {false, false}};

// False: even its shortest form is too long, or it is damaged.
bool render_custom(const Message& message, bool ascii_only, std::uint64_t lsn, std::string& out) {
  PayloadRun run(message, lsn);
  for (const Step step : kLadder) {
    out = run.render(step);
    if (run.is_damaged()) return false;
    if (ascii_only) out = json_to_ascii(out);
    if (out.size() <= kPayloadLimit) return true;
  }
  return false;
}

}  // namespace

std::string iso_timestamp(std::int64_t microseconds) {
  const Moment moment = split(microseconds);
  std::int64_t day = moment.seconds / kDay;
  std::int64_t second = moment.seconds % kDay;
  if (second < 0) second += kDay, --day;
  const Date date = date_of(day);
  std::string text = date.year < 0 ? "-" : "";
  text.reserve(40);
  const auto append = [&text](char before, std::int64_t number, std::size_t digits) {
    text += before;
    append_number(text, static_cast<std::uint64_t>(number), digits);
  };
  append_number(text, static_cast<std::uint64_t>(std::abs(date.year)), 4);
  append('-', date.month, 2);
  append('-', date.day, 2);
  append('T', second / 3600, 2);
  append(':', second / 60 % 60, 2);
  append(':', second % 60, 2);
  append('.', moment.fraction, 6);
  return text += "+00:00";
}

std::string epoch_timestamp(std::int64_t microseconds) {
  const bool negative = microseconds < 0;
  // Unsigned, since the smallest number has no positive counterpart.
  const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(microseconds) : static_cast<std::uint64_t>(microseconds);
  std::string text = negative ? "-" : "";
  append_number(text, size / kSecond, 1);
  text += '.';
  append_number(text, size % kSecond, 6);
  return text;
}

std::string lsn_text(std::uint64_t lsn) {
  char text[32];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(lsn >> 32), static_cast<unsigned>(lsn));
  return text;
}

std::string render_payload(const Message& message, bool ascii_only, std::uint64_t lsn) {
  if (message.operation == Operation::reset) return render_reset(message, ascii_only);
  std::string out;
  if (message.shape.format == Format::custom) {
    if (render_custom(message, ascii_only, lsn, out)) return out;
    Message plain = message;
    plain.shape.format = Format::record;
    plain.fields.clear();
    return render_payload(plain, ascii_only);
  }
  for (const Step step : kLadder) {
    out = render_ready(message, step);
    if (ascii_only) out = json_to_ascii(out);
    if (out.size() <= kPayloadLimit) break;
  }
  return out;
}

}  // namespace cache_invalidate::core
