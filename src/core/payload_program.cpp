#include "core/payload_program.hpp"

#include <algorithm>

#include "core/bytes.hpp"

namespace cache_invalidate::core {
namespace {

JsonKind kind_of(PayloadVariable variable, Cast cast) {
  if (cast == Cast::number) return JsonKind::number;
  return variable == PayloadVariable::epoch && cast == Cast::none ? JsonKind::number : JsonKind::text;
}

// In bytes, with its quotes; of an id nothing, since it is left out where there is no room for it.
std::size_t longest(PayloadVariable variable) {
  switch (variable) {
    case PayloadVariable::operation: return sizeof "\"TRUNCATE\"" - 1;
    case PayloadVariable::batch_id: return sizeof "\"18446744073709551615\"" - 1;
    case PayloadVariable::timestamp: return sizeof "\"-292277-01-02T03:04:05.678901+00:00\"" - 1;
    case PayloadVariable::epoch: return sizeof "\"-9223372036854.775808\"" - 1;
    case PayloadVariable::lsn: return sizeof "\"FFFFFFFF/FFFFFFFF\"" - 1;
    default: return 0;
  }
}

class ProgramWriter {
 public:
  ProgramWriter(const PayloadNames& names, const std::function<Result<BoundColumn>(const ColumnPath&)>& find)
      : names_(names), find_(find) {}

  Result<bool> member(const PayloadMember& source) {
    member_.clear();
    for (const PayloadPiece& piece : source) {
      literal_ += piece.json;
      if (!piece.has_placeholder) continue;
      if (piece.placeholder.path.empty()) {
        variable(piece);
        continue;
      }
      Result<bool> written = column(piece);
      if (!written.ok()) return written;
    }
    flush_literal();
    put_bytes(bound_.program, member_);
    ++fixed_size_;  // for a comma or the closing brace
    return true;
  }

  std::size_t fixed_size() const { return fixed_size_; }
  BoundPayload& bound() { return bound_; }

 private:
  void flush_literal() {
    if (literal_.empty()) return;
    put_part(PayloadPart::literal);
    put_bytes(member_, literal_);
    fixed_size_ += json_to_ascii(literal_).size();
    literal_.clear();
  }
  void put_part(PayloadPart part) { member_.push_back(static_cast<char>(part)); }

  void variable(const PayloadPiece& piece) {
    PayloadVariable which = PayloadVariable::operation;
    find_variable(piece.placeholder.variable, which);
    const JsonKind kind = kind_of(which, piece.placeholder.cast);
    if (which > kLastSentVariable) {
      const std::string& name = which == PayloadVariable::table    ? names_.table
                                : which == PayloadVariable::schema ? names_.schema
                                                                   : names_.resource;
      if (piece.in_string) {
        append_json_text(literal_, name);
      } else {
        append_json_value(literal_, name, kind);
      }
      return;
    }
    flush_literal();
    put_part(piece.in_string ? PayloadPart::inside : kind == JsonKind::number ? PayloadPart::number : PayloadPart::string);
    put_varint(member_, static_cast<std::uint64_t>(which));
    fixed_size_ += longest(which);
  }

  Result<bool> column(const PayloadPiece& piece) {
    const Result<BoundColumn> found = find_(piece.placeholder.path);
    if (!found.ok()) return found.error();
    const PayloadValue value{found.value().input, found.value().json_kind, piece.placeholder.cast, piece.in_string};
    const auto known = std::find(bound_.values.begin(), bound_.values.end(), value);
    const auto number = static_cast<std::uint64_t>(known - bound_.values.begin());
    if (known == bound_.values.end()) bound_.values.push_back(value);
    flush_literal();
    put_part(PayloadPart::value);
    put_varint(member_, number);
    return true;
  }

  const PayloadNames& names_;
  const std::function<Result<BoundColumn>(const ColumnPath&)>& find_;
  BoundPayload bound_;
  std::string member_;
  std::string literal_;  // since the last part that is none
  std::size_t fixed_size_ = 1;  // the opening brace
};

}  // namespace

Result<BoundPayload> bind_payload(const PayloadTemplate& source, const PayloadNames& names,
                                  const std::function<Result<BoundColumn>(const ColumnPath&)>& find) {
  ProgramWriter writer(names, find);
  for (const PayloadMember& member : source) {
    Result<bool> written = writer.member(member);
    if (!written.ok()) return written.error();
  }
  if (writer.fixed_size() > kLongestFixedPayload) {
    Error error;
    error.sqlstate = sqlstate::kProgramLimitExceeded;
    error.message = "argument \"payload\" is too long";
    error.detail = "Without the values of columns its messages have up to " + std::to_string(writer.fixed_size()) + " bytes.";
    error.hint = "They may have " + std::to_string(kLongestFixedPayload) +
                 ": a message must fit NOTIFY's 7999 bytes, and characters beyond ASCII may take 6 or 12 bytes.";
    return error;
  }
  return std::move(writer.bound());
}

}  // namespace cache_invalidate::core
