#include "pg/crash_point.hpp"

#ifdef CACHE_INVALIDATE_CRASH_POINTS

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pg/postgres.hpp"

// By the linker: the marks of all files, side by side.
extern "C" {
extern const cache_invalidate::pg::CrashPoint __start_cache_invalidate_crash[] __attribute__((visibility("hidden")));
extern const cache_invalidate::pg::CrashPoint __stop_cache_invalidate_crash[] __attribute__((visibility("hidden")));
}

namespace cache_invalidate::pg {
namespace {

constexpr const char* kFile = "cache_invalidate_crash_points";
constexpr long kLook = 2;  // milliseconds

CrashRecord* records = nullptr;

// Where nobody may fail interrupts are not served either.
void wait_for_release(CrashRecord& record) {
  while (record.is_released.load() == 0) {
    static_cast<void>(WaitLatch(nullptr, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kLook, PG_WAIT_EXTENSION));
    if (record.point.kind != CrashKind::dies) CHECK_FOR_INTERRUPTS();
  }
}

void carry_out(CrashAction action, CrashRecord& record) {
  switch (action) {
    case CrashAction::error:
      ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("crash point \"%s\"", record.point.name)));
      break;
    case CrashAction::exit:
      ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("crash point \"%s\"", record.point.name)));
      break;
    case CrashAction::kill:
      kill(MyProcPid, SIGKILL);
      break;
    case CrashAction::abort:
      std::abort();
    case CrashAction::wait:
      wait_for_release(record);
      break;
    case CrashAction::none:
      break;
  }
}

}  // namespace

void map_crash_points() {
  const auto count = static_cast<std::size_t>(__stop_cache_invalidate_crash - __start_cache_invalidate_crash);
  const std::size_t size = count * sizeof(CrashRecord);
  // A postmaster of before may have left children that look at the old one.
  unlink(kFile);
  const int file = open(kFile, O_RDWR | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
  if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) elog(FATAL, "could not create \"%s\": %m", kFile);
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) elog(FATAL, "could not map \"%s\": %m", kFile);
  close(file);
  auto* const mapped = static_cast<CrashRecord*>(memory);
  for (std::size_t i = 0; i < count; ++i) mapped[i].point = __start_cache_invalidate_crash[i];
  records = mapped;
}

void visit_crash_point(const CrashPoint& point) {
  if (records == nullptr) return;
  CrashRecord& record = records[&point - __start_cache_invalidate_crash];
  record.visits.fetch_add(1);
  if (record.action.load() == 0 || record.visits_left.fetch_sub(1) != 1) return;
  const auto action = static_cast<CrashAction>(record.action.exchange(0));
  record.pid.store(static_cast<std::uint32_t>(MyProcPid));
  carry_out(action, record);
}

}  // namespace cache_invalidate::pg

#endif
