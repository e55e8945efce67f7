// What is fuzzed: each function takes bytes of a stranger and throws Broken if what they give breaks a promise. Shared by the
// fuzzers (fuzzer.cpp, "make fuzz") and the unit tests, which replay test/fuzz/corpus.
#pragma once

#include <stdexcept>
#include <string_view>

namespace cache_invalidate::fuzz {

struct Broken : std::logic_error {
  using std::logic_error::logic_error;
};

inline void require(bool holds, const char* promise) {
  if (!holds) throw Broken(promise);
}

void arguments(std::string_view input);  // of a trigger, as the catalog has them: each behind a NUL
void templates(std::string_view input);  // of keys, payloads and channels: what comes up to the first NUL; then a value
void urls(std::string_view input);       // of servers
void payloads(std::string_view input);   // argument "payload" up to the first NUL; then a value
void replies(std::string_view input);    // of a server; the first byte says in what pieces they come
void batches(std::string_view input);    // a row of the journal: what a transaction made stale
void watermarks(std::string_view input); // a row of the journal: what has been delivered

struct Target {
  const char* name;  // of the folder with its corpus, too
  void (*run)(std::string_view);
};
inline constexpr Target kTargets[] = {
    {"arguments", arguments}, {"templates", templates}, {"urls", urls},            {"payloads", payloads},
    {"replies", replies},     {"batches", batches},     {"watermarks", watermarks}};

}  // namespace cache_invalidate::fuzz
