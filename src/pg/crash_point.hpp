// Marks in the code at which the build of the tests (-DCACHE_INVALIDATE_CRASH_POINTS) can fail, be killed or be made to wait.
// In every other build a mark is nothing at all.
//
//   CACHE_INVALIDATE_CRASH_POINT("journal.appended", fails);
//
// The kind says what may happen there besides being killed:
//   caught   an error; ours makes up for it, and whatever runs goes on
//   fails    an error; it ends the statement of a backend, or the worker
//   dies     nothing: here nobody may fail, allocate or report
//
// CACHE_INVALIDATE_CRASH_POINT_IF counts only when a condition holds, which is not computed elsewhere.
//
// The postmaster makes the file of that name in the data directory and maps it, all its children with it. Each mark has a
// record there, by which tests see how often it was visited and arm it: CrashRecord. Not for headers: a mark stands in one place.
#pragma once

#ifdef CACHE_INVALIDATE_CRASH_POINTS

#include <atomic>
#include <cstdint>

namespace cache_invalidate::pg {

enum class CrashKind : std::uint32_t { caught = 1, fails, dies };
enum class CrashAction : std::uint32_t { none, error, exit, kill, abort, wait };

// In a section of the module, so that the linker makes the list.
struct CrashPoint {
  char name[60];
  CrashKind kind;
};

// Written by the test: `visits_left`, then `action`, which is taken back when it is carried out. All numbers are native.
struct CrashRecord {
  CrashPoint point;
  std::atomic<std::uint32_t> action;
  std::atomic<std::uint32_t> visits_left;  // 1: the next one
  std::atomic<std::uint32_t> pid;          // of the process that carried it out
  std::atomic<std::uint32_t> is_released;  // by the test: it need not wait any longer
  std::atomic<std::uint64_t> visits;       // since the server was started
  char unused[40];
};
static_assert(sizeof(CrashRecord) == 128, "as test/tap/CacheInvalidate/CrashPoints.pm reads it");

// From _PG_init, while the postmaster preloads.
void map_crash_points();
void visit_crash_point(const CrashPoint& point);

}  // namespace cache_invalidate::pg

#define CACHE_INVALIDATE_CRASH_POINT(name, kind)                                                                        \
  do {                                                                                                                  \
    __attribute__((section("cache_invalidate_crash"), used)) static const ::cache_invalidate::pg::CrashPoint crash_mark = { \
        name, ::cache_invalidate::pg::CrashKind::kind};                                                                 \
    ::cache_invalidate::pg::visit_crash_point(crash_mark);                                                              \
  } while (false)
#define CACHE_INVALIDATE_CRASH_POINT_IF(condition, name, kind) \
  do {                                                         \
    if (condition) CACHE_INVALIDATE_CRASH_POINT(name, kind);   \
  } while (false)

#else

namespace cache_invalidate::pg {
inline void map_crash_points() {}
}  // namespace cache_invalidate::pg

#define CACHE_INVALIDATE_CRASH_POINT(name, kind) static_cast<void>(0)
#define CACHE_INVALIDATE_CRASH_POINT_IF(condition, name, kind) static_cast<void>(0)

#endif
