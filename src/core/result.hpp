// Result<T>: a value, or an Error that tells a person what was given, what is allowed and what to do.
//
// core and redis return it for whatever a user or a peer can cause. They throw only for memory and for
// broken invariants.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace cache_invalidate::core {

// Five-character SQLSTATE codes that core uses; the door to the server turns them into its own.
namespace sqlstate {
inline constexpr const char* kInvalidParameterValue = "22023";
inline constexpr const char* kSyntaxError = "42601";
inline constexpr const char* kUndefinedColumn = "42703";
inline constexpr const char* kDuplicateObject = "42710";
inline constexpr const char* kInvalidName = "42602";
inline constexpr const char* kFeatureNotSupported = "0A000";
inline constexpr const char* kProgramLimitExceeded = "54000";
inline constexpr const char* kFdwInvalidOption = "HV00D";
inline constexpr const char* kLockNotAvailable = "55P03";
inline constexpr const char* kDataCorrupted = "XX001";
inline constexpr const char* kConnectionFailure = "08006";
}  // namespace sqlstate

// PostgreSQL's message style: `message` starts in lower case and has no full stop; `detail` and `hint`
// are sentences. Any of the last two may be empty. No secret ever goes in.
struct Error {
  const char* sqlstate = sqlstate::kInvalidParameterValue;
  std::string message;
  std::string detail;
  std::string hint;
};

// " at character 7.", the end of a detail. Counts as the server does: a UTF-8 character once.
inline std::string at_character(std::string_view text, std::size_t position) {
  std::size_t number = 1;
  for (const char c : text.substr(0, position)) number += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return " at character " + std::to_string(number) + ".";
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(state_); }
  const T& value() const { return std::get<T>(state_); }
  T& value() { return std::get<T>(state_); }
  T&& take() { return std::move(std::get<T>(state_)); }
  const Error& error() const { return std::get<Error>(state_); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace cache_invalidate::core
