#include "pg/guard.hpp"

namespace cache_invalidate::pg {

void CaughtError::set(const char* code, const char* what, const char* more, const char* cure) noexcept {
  server_error = nullptr;
  strlcpy(sqlstate, code, sizeof sqlstate);
  strlcpy(message, what, sizeof message);
  strlcpy(detail, more, sizeof detail);
  strlcpy(hint, cure, sizeof hint);
  // Cut texts must still be whole characters for the client.
  message[pg_mbcliplen(message, static_cast<int>(strlen(message)), sizeof message - 1)] = '\0';
  detail[pg_mbcliplen(detail, static_cast<int>(strlen(detail)), sizeof detail - 1)] = '\0';
  hint[pg_mbcliplen(hint, static_cast<int>(strlen(hint)), sizeof hint - 1)] = '\0';
}

void raise(const CaughtError& caught) {
  if (caught.server_error != nullptr) ReThrowError(caught.server_error);
  const char* s = caught.sqlstate;
  ereport(ERROR, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])), errmsg("%s", caught.message),
                  caught.detail[0] != '\0' ? errdetail("%s", caught.detail) : 0,
                  caught.hint[0] != '\0' ? errhint("%s", caught.hint) : 0));
  pg_unreachable();
}

}  // namespace cache_invalidate::pg
