// The two bridges between the server's errors, which jump, and C++ exceptions, which unwind.
//
// Entry<&body>::call is the only way from the server into our code: no exception leaves it, and the error
// is reported after every C++ scope has ended.
//
// guarded(f) is the way from code that owns C++ objects into server functions that may raise an error: the
// error becomes a PgError. What the server function held (locks, pins, memory) is NOT released: let the
// error reach the entry, or use it only for calls that hold nothing when they fail.
#pragma once

#include <csetjmp>
#include <exception>

#include "core/result.hpp"

#include "pg/postgres.hpp"

namespace cache_invalidate::pg {

// A server error on its way through C++ scopes. `data` lives in the memory context of the call.
class PgError : public std::exception {
 public:
  explicit PgError(ErrorData* data) : data_(data) {}
  const char* what() const noexcept override { return data_->message == nullptr ? "" : data_->message; }
  ErrorData* data() const { return data_; }

 private:
  ErrorData* data_;
};

// An error of ours, told in UTF-8, on its way through C++ scopes.
class ReportedError : public std::exception {
 public:
  explicit ReportedError(core::Error error) : error_(std::move(error)) {}
  const char* what() const noexcept override { return error_.message.c_str(); }
  const core::Error& error() const { return error_; }

 private:
  core::Error error_;
};

// Keeps the exception that is being handled for raise_kept(). Outside the stack, where it would keep each call some
// kilobytes away from what its caller has just used.
void keep_caught() noexcept;

// Reports what was kept; called when no C++ scope is left. Until then nothing else may be caught.
[[noreturn]] void raise_kept();

template <auto Body>
struct Entry;

template <typename R, typename... Args, R (*Body)(Args...)>
struct Entry<Body> {
  static R call(Args... args) {
    try {
      return Body(args...);
    } catch (...) {
      keep_caught();
    }
    raise_kept();
  }
};

template <typename Function>
void guarded(Function&& function) {
  // Restores the server's error stack however the scope is left, since a C++ exception may pass here too.
  struct Restorer {
    sigjmp_buf* exceptions = PG_exception_stack;
    ErrorContextCallback* contexts = error_context_stack;
    ~Restorer() {
      PG_exception_stack = exceptions;
      error_context_stack = contexts;
    }
  };
  const MemoryContext context = CurrentMemoryContext;
  ErrorData* error = nullptr;
  {
    Restorer restorer;
    sigjmp_buf jump;
    // Without saving the signal mask, as the server does it: that would cost a system call each time.
    if (sigsetjmp(jump, 0) == 0) {
      PG_exception_stack = &jump;
      function();
      return;
    }
    PG_exception_stack = restorer.exceptions;
    error_context_stack = restorer.contexts;
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
  }
  throw PgError(error);
}

}  // namespace cache_invalidate::pg

// Defines a SQL-callable function: CACHE_INVALIDATE_FUNCTION(foo) { ... } is "cache_invalidate_foo" to the server.
#define CACHE_INVALIDATE_FUNCTION(name)                                      \
  static Datum name(FunctionCallInfo fcinfo);                                \
  extern "C" {                                                               \
  PGDLLEXPORT Datum cache_invalidate_##name(PG_FUNCTION_ARGS);               \
  PG_FUNCTION_INFO_V1(cache_invalidate_##name);                              \
  Datum cache_invalidate_##name(PG_FUNCTION_ARGS) {                          \
    return ::cache_invalidate::pg::Entry<&name>::call(fcinfo);               \
  }                                                                          \
  }                                                                          \
  static Datum name([[maybe_unused]] FunctionCallInfo fcinfo)

// Defines the main function of a background worker, likewise.
#define CACHE_INVALIDATE_WORKER_MAIN(name)                                   \
  static void name(Datum argument);                                          \
  extern "C" {                                                               \
  PGDLLEXPORT void cache_invalidate_##name(Datum argument);                  \
  void cache_invalidate_##name(Datum argument) {                             \
    ::cache_invalidate::pg::Entry<&name>::call(argument);                    \
  }                                                                          \
  }                                                                          \
  static void name([[maybe_unused]] Datum argument)
