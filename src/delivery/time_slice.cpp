#include "delivery/time_slice.hpp"

#include <cstdint>
#include <fstream>
#include <string>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace cache_invalidate::delivery {

#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)
namespace {

// What the kernel takes, in its first version. The headers of some distributions that declare it cannot stand beside <sched.h>.
struct Attributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;  // nanoseconds; of ordinary processes the slice
  std::uint64_t deadline;
  std::uint64_t period;
};
static_assert(sizeof(Attributes) == 48);

constexpr std::uint64_t kSlice = 300000;  // more than a push takes

// A filter of system calls, as of a hardened service, may kill who makes an unusual one, and the server would restart. Only where there is
// certainly none is it tried.
bool may_be_filtered() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Seccomp:", 0) == 0) return line.find_first_not_of(" \t0", 8) != std::string::npos;
  }
  return true;
}

}  // namespace

void shorten_time_slice() {
  if (may_be_filtered()) return;
  Attributes attributes{};
  // Not where somebody has chosen another policy for the server.
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 || attributes.policy != SCHED_OTHER) return;
  attributes.runtime = kSlice;
  static_cast<void>(syscall(SYS_sched_setattr, 0, &attributes, 0));  // refused or ignored: then it waits its turn
}
#else
void shorten_time_slice() {}
#endif

}  // namespace cache_invalidate::delivery
