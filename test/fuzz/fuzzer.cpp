// libFuzzer's entry: one program, whose target is FUZZ_TARGET at compile time.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cache_invalidate::fuzz::FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
