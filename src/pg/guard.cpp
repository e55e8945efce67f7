#include "pg/guard.hpp"

#include <new>

#include "pg/text.hpp"

namespace cache_invalidate::pg {

namespace {

// Plain data: nothing between catching and reporting may fail.
struct CaughtError {
  ErrorData* server_error;
  char sqlstate[6];
  char message[1024];
  char detail[1024];
  char hint[2048];
};

CaughtError kept;

// A text that was cut still ends with a whole character. It may come from anywhere, so it need not be UTF-8.
void copy_whole(char* to, const char* from, std::size_t size) noexcept {
  strlcpy(to, from, size);
  const int length = static_cast<int>(strlen(to));
  to[pg_encoding_mbcliplen(PG_UTF8, to, length, length)] = '\0';
}

void keep(const char* sqlstate, const char* message, const char* detail = "", const char* hint = "") noexcept {
  kept.server_error = nullptr;
  strlcpy(kept.sqlstate, sqlstate, sizeof kept.sqlstate);
  copy_whole(kept.message, message, sizeof kept.message);
  copy_whole(kept.detail, detail, sizeof kept.detail);
  copy_whole(kept.hint, hint, sizeof kept.hint);
}

}  // namespace

void keep_caught() noexcept {
  try {
    throw;
  } catch (const PgError& error) {
    kept.server_error = error.data();
  } catch (const ReportedError& error) {
    const core::Error& e = error.error();
    keep(e.sqlstate, e.message.c_str(), e.detail.c_str(), e.hint.c_str());
  } catch (const std::bad_alloc&) {
    keep("53200", "out of memory");
  } catch (const std::exception& error) {
    keep("XX000", error.what());
  } catch (...) {
    keep("XX000", "unrecognized C++ exception");
  }
}

void raise_kept() {
  if (kept.server_error != nullptr) ReThrowError(kept.server_error);
  const char* s = kept.sqlstate;
  ereport(ERROR, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])), errmsg("%s", from_utf8_anyhow(kept.message)),
                  kept.detail[0] != '\0' ? errdetail("%s", from_utf8_anyhow(kept.detail)) : 0,
                  kept.hint[0] != '\0' ? errhint("%s", from_utf8_anyhow(kept.hint)) : 0));
  pg_unreachable();
}

}  // namespace cache_invalidate::pg
