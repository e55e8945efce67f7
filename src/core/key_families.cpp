#include "core/key_families.hpp"

#include "core/expand.hpp"
#include "core/glob.hpp"

namespace cache_invalidate::core {
namespace {

// Longer ones would only make batches longer.
constexpr std::size_t kLongest = 256;

std::string all_that_begins_with(std::string_view start) {
  std::string family;
  append_glob_literal(family, start);
  family += '*';
  return family;
}

// `colon`: npos if there is none.
std::string up_to(std::string_view text, std::size_t colon) {
  return all_that_begins_with(colon == std::string_view::npos || colon >= kLongest ? std::string_view() : text.substr(0, colon + 1));
}

}  // namespace

std::string family_of_key(std::string_view key) {
  const std::size_t colon = key.rfind(':');
  if (colon != std::string_view::npos) return up_to(key, colon);
  if (key.size() > kLongest) return "*";
  std::string family;
  append_glob_literal(family, key);
  return family;
}

std::string wide_family_of_key(std::string_view key) { return up_to(key, key.find(':')); }

std::string family_of_glob(std::string_view glob) {
  const std::string start = Glob(glob).prefix();
  const std::size_t colon = start.rfind(':');
  return colon == std::string::npos && start.size() <= kLongest ? all_that_begins_with(start) : up_to(start, colon);
}

std::string wide_family_of_glob(std::string_view glob) {
  const std::string start = Glob(glob).prefix();
  return up_to(start, start.find(':'));
}

const std::string& KeyFamilies::choose(std::string narrow, std::string wide) {
  static const std::string kAll = "*";
  const auto take = [this](Known& known, std::string family) -> const std::string* {
    const auto found = known.find(family);
    if (found != known.end()) return &*found;
    return known.size() < most_ ? &*known.insert(std::move(family)).first : nullptr;
  };
  if (const std::string* family = take(narrow_, std::move(narrow))) return *family;
  const std::string* family = take(wide_, std::move(wide));
  return family != nullptr ? *family : kAll;
}

}  // namespace cache_invalidate::core
