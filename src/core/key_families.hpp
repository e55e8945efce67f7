// Key families: the globs that stand for keys and patterns which no template gave. If very many of them are owed to a
// cache that is away, they are widened to such a glob: it shall cover them, and little else.
//
// Globs are numbered for ever by who uses them, so there is a bound to how many come from here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>

namespace cache_invalidate::core {

// Up to the last ':' and "*": "user:7:name" is of "user:7:*". A key without ':' is a family by itself.
std::string family_of_key(std::string_view key);
// Up to the first ':': "user:*"; "*" if there is none.
std::string wide_family_of_key(std::string_view key);

// The same for whatever the glob matches.
std::string family_of_glob(std::string_view glob);
std::string wide_family_of_glob(std::string_view glob);

class KeyFamilies {
 public:
  // Of so many families and so many wide ones.
  explicit KeyFamilies(std::size_t most = 64) : most_(most) {}

  // The narrowest that there is room for; at worst "*". Known ones are kept. The answer holds until the next call.
  const std::string& of_key(std::string_view key) { return choose(family_of_key(key), wide_family_of_key(key)); }
  const std::string& of_glob(std::string_view glob) { return choose(family_of_glob(glob), wide_family_of_glob(glob)); }

 private:
  using Known = std::unordered_set<std::string>;
  const std::string& choose(std::string narrow, std::string wide);

  std::size_t most_;
  Known narrow_;
  Known wide_;
};

}  // namespace cache_invalidate::core
