#include "pg/guard.hpp"

#include "pg/text.hpp"

namespace cache_invalidate::pg {

namespace {

// A text that was cut still ends with a whole character. It may come from anywhere, so it need not be UTF-8.
void copy_whole(char* to, const char* from, std::size_t size) noexcept {
  strlcpy(to, from, size);
  const int length = static_cast<int>(strlen(to));
  to[pg_encoding_mbcliplen(PG_UTF8, to, length, length)] = '\0';
}

}  // namespace

void CaughtError::set(const char* code, const char* what, const char* more, const char* cure) noexcept {
  server_error = nullptr;
  strlcpy(sqlstate, code, sizeof sqlstate);
  copy_whole(message, what, sizeof message);
  copy_whole(detail, more, sizeof detail);
  copy_whole(hint, cure, sizeof hint);
}

void raise(const CaughtError& caught) {
  if (caught.server_error != nullptr) ReThrowError(caught.server_error);
  const char* s = caught.sqlstate;
  ereport(ERROR, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])), errmsg("%s", from_utf8_anyhow(caught.message)),
                  caught.detail[0] != '\0' ? errdetail("%s", from_utf8_anyhow(caught.detail)) : 0,
                  caught.hint[0] != '\0' ? errhint("%s", from_utf8_anyhow(caught.hint)) : 0));
  pg_unreachable();
}

}  // namespace cache_invalidate::pg
