// Glob: a pattern of keys as Redis understands it, compiled once and matched against bytes without its help, so
// that many patterns can be looked for in one pass over the keys.
//
//   *  any bytes   ?  one byte   [abc] [a-z] [^a]  one byte of, or not of, a class   \x  the byte x
//
// Byte by byte what SCAN ... MATCH would find, oddities included: a class ends at its first "]", one that is not closed
// at the end of the pattern, and a range may stand the wrong way round. In doubt it matches more: see the source.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cache_invalidate::core {

class Glob {
 public:
  explicit Glob(std::string_view pattern);

  // At worst in time proportional to the product of both lengths, for ordinary patterns to that of the bytes.
  bool matches(std::string_view bytes) const;

  // What everything that matches begins with.
  const std::string& prefix() const { return prefix_; }
  // Stars; several in a row are one.
  std::size_t stars() const { return stars_; }

 private:
  struct Element {
    enum class Kind : std::uint8_t { byte, any, one_of, star } kind;
    char byte = 0;
    std::uint32_t set = 0;
  };
  using ByteClass = std::bitset<256>;

  std::size_t read_class(std::string_view pattern, std::size_t next);
  bool accepts(const Element& element, char byte) const;

  std::string prefix_;
  std::vector<Element> elements_;  // behind the prefix
  std::vector<ByteClass> sets_;
  std::size_t stars_ = 0;
};

}  // namespace cache_invalidate::core
