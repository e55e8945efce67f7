#include "core/glob.hpp"

#include <algorithm>

namespace cache_invalidate::core {
namespace {

unsigned number(char byte) { return static_cast<unsigned char>(byte); }

// Redis compares as the characters of its machine do, signed or not. We cannot know which: a byte that either would
// take is taken.
void add_range(std::bitset<256>& bytes, std::bitset<256>& bytes_signed, char first, char last) {
  const auto [low, high] = std::minmax({number(first), number(last)});
  for (unsigned i = low; i <= high; ++i) bytes.set(i);
  const auto [least, most] = std::minmax<int>({static_cast<signed char>(first), static_cast<signed char>(last)});
  for (int i = least; i <= most; ++i) bytes_signed.set(static_cast<unsigned char>(i));
}

}  // namespace

Glob::Glob(std::string_view pattern) {
  using Kind = Element::Kind;
  std::size_t next = 0;
  while (next < pattern.size()) {
    const char c = pattern[next];
    if (c == '*') {
      if (elements_.empty() || elements_.back().kind != Kind::star) {
        elements_.push_back({Kind::star});
        ++stars_;
      }
      ++next;
    } else if (c == '?') {
      elements_.push_back({Kind::any});
      ++next;
    } else if (c == '[') {
      next = read_class(pattern, next + 1);
    } else {
      // A backslash at the very end stands for itself.
      if (c == '\\' && next + 1 < pattern.size()) ++next;
      if (elements_.empty()) {
        prefix_.push_back(pattern[next]);
      } else {
        elements_.push_back({Kind::byte, pattern[next]});
      }
      ++next;
    }
  }
}

// From behind the "[" to behind the "]".
std::size_t Glob::read_class(std::string_view pattern, std::size_t next) {
  const bool negated = next < pattern.size() && pattern[next] == '^';
  if (negated) ++next;
  ByteClass bytes, bytes_signed;
  while (next < pattern.size()) {
    const std::size_t left = pattern.size() - next;
    if (pattern[next] == '\\' && left >= 2) {
      ++next;
    } else if (pattern[next] == ']') {
      break;
    } else if (left >= 3 && pattern[next + 1] == '-') {
      add_range(bytes, bytes_signed, pattern[next], pattern[next + 2]);
      next += 3;
      continue;
    }
    bytes.set(number(pattern[next]));
    bytes_signed.set(number(pattern[next]));
    ++next;
  }
  elements_.push_back({Element::Kind::one_of, 0, static_cast<std::uint32_t>(sets_.size())});
  sets_.push_back(negated ? ~bytes | ~bytes_signed : bytes | bytes_signed);
  return std::min(next + 1, pattern.size());
}

bool Glob::accepts(const Element& element, char byte) const {
  switch (element.kind) {
    case Element::Kind::byte: return element.byte == byte;
    case Element::Kind::any: return true;
    case Element::Kind::one_of: return sets_[element.set][number(byte)];
    case Element::Kind::star: break;
  }
  return false;
}

// Between two stars each element takes one byte, so the leftmost place where they fit is as good as any: only the last
// star is ever tried again. (Redis takes no empty key for "**", and gives up beyond 1000 stars: there we match more.)
bool Glob::matches(std::string_view bytes) const {
  if (bytes.compare(0, prefix_.size(), prefix_) != 0) return false;
  std::size_t at = prefix_.size(), element = 0;
  std::size_t retry_element = 0, retry_at = 0;  // behind the last star
  bool has_star = false;
  while (at < bytes.size()) {
    const bool more = element < elements_.size();
    if (more && elements_[element].kind == Element::Kind::star) {
      has_star = true;
      retry_element = ++element;
      if (element == elements_.size()) return true;
      retry_at = at;
    } else if (more && accepts(elements_[element], bytes[at])) {
      ++element;
      ++at;
    } else if (has_star) {
      element = retry_element;
      at = ++retry_at;
    } else {
      return false;
    }
  }
  while (element < elements_.size() && elements_[element].kind == Element::Kind::star) ++element;
  return element == elements_.size();
}

}  // namespace cache_invalidate::core
