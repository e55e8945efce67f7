#include "pg/text.hpp"

namespace cache_invalidate::pg {
namespace {

int plain_start(const char* text, int size) {
  int plain = 0;
  while (plain < size && !IS_HIGHBIT_SET(text[plain])) ++plain;
  return plain;
}

// Converts as much of the text's beginning as can be, ended by NUL, and returns how many bytes of the text that is.
int convert_start(Oid conversion, int from, int to, const char* text, int size, char* out, int room) {
  if (OidIsValid(conversion)) {
    auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(text));
    return pg_do_encoding_conversion_buf(conversion, from, to, source, size, reinterpret_cast<unsigned char*>(out), room, true);
  }
  const int good = from == to ? pg_encoding_verifymbstr(from, text, size) : plain_start(text, size);
  memcpy(out, text, static_cast<Size>(good));
  out[good] = '\0';
  return good;
}

const char* convert_anyhow(const char* text, int from, int to) {
  int left = static_cast<int>(strlen(text));
  if (GetDatabaseEncoding() == PG_SQL_ASCII || plain_start(text, left) == left) return text;
  // Outside a transaction no conversion can be looked up.
  const Oid conversion = from != to && IsTransactionState() ? FindDefaultConversionProc(from, to) : InvalidOid;
  int room = left * MAX_CONVERSION_GROWTH + 1;
  auto* result = static_cast<char*>(palloc(static_cast<Size>(room)));
  for (char* out = result;;) {
    const int done = convert_start(conversion, from, to, text, left, out, room);
    out += strlen(out);
    text += done;
    left -= done;
    if (left == 0) return result;
    // A broken character of UTF-8 may be shorter than its first byte says: what follows it is not lost.
    int skipped = from == PG_UTF8 ? 1 : Min(pg_encoding_mblen(from, text), left);
    while (from == PG_UTF8 && skipped < left && (text[skipped] & 0xC0) == 0x80) ++skipped;
    *out++ = '?';
    *out = '\0';
    text += skipped;
    left -= skipped;
    room = left * MAX_CONVERSION_GROWTH + 1;
  }
}

}  // namespace

const char* to_utf8_anyhow(const char* text) { return convert_anyhow(text, GetDatabaseEncoding(), PG_UTF8); }

const char* from_utf8_anyhow(const char* text) { return convert_anyhow(text, PG_UTF8, GetDatabaseEncoding()); }

}  // namespace cache_invalidate::pg
