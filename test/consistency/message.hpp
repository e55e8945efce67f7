// What the triggers' messages say: {"op":"UPDATE","id":7,"version":23}. A wide one has neither id nor
// version.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include "log.hpp"

namespace cache_invalidate::consistency {

struct Message {
  Said said = Said::wide;
  std::int64_t id = 0;
  std::int64_t version = 0;
  bool is_of_parted = false;  // a wide one is not about "item"
};

// Whatever is not understood is wide.
inline Message parse_message(const std::string& text) {
  const auto number_after = [&text](const char* name, std::int64_t& number) {
    const std::size_t place = text.find(name);
    if (place == std::string::npos) return false;
    const char* begin = text.c_str() + place + std::string(name).size();
    char* end = nullptr;
    number = std::strtoll(begin, &end, 10);
    return end != begin;
  };
  Message message;
  message.is_of_parted = text.find("\"table\":\"parted\"") != std::string::npos;
  if (!number_after("\"id\":", message.id) || !number_after("\"version\":", message.version)) {
    message.id = message.version = 0;
    return message;
  }
  message.said = text.find("\"op\":\"DELETE\"") == std::string::npos ? Said::change : Said::removal;
  return message;
}

}  // namespace cache_invalidate::consistency
