// A step that may fail without failing the statement that it is part of: it runs in a subtransaction, so that an
// error takes back all that it held, added and locked. For what is rare: DDL, not rows.
#pragma once

#include <exception>

#include "pg/guard.hpp"

namespace cache_invalidate::pg {

// Does somebody want the statement to end, or is there nothing left to go on with? Then it is not ours to swallow.
inline bool ends_statement(const ErrorData* error) {
  const int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
  return category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_INSUFFICIENT_RESOURCES || error->elevel > ERROR;
}

// What went wrong, in memory of the current context, or nullptr. Cancel, shutdown and lack of memory are raised.
template <typename Function>
const char* attempt(Function&& function) {
  const MemoryContext context = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  const auto restore = [context, owner] {
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  };
  const char* problem = nullptr;
  std::exception_ptr failure;
  guarded([&] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
  });
  try {
    guarded([&] {
      function();
      ReleaseCurrentSubTransaction();
      restore();
    });
    return nullptr;
  } catch (const PgError& error) {
    problem = error.data()->message != nullptr ? error.data()->message : "";
    if (ends_statement(error.data())) failure = std::current_exception();
  } catch (...) {
    failure = std::current_exception();
  }
  guarded([&] {
    RollbackAndReleaseCurrentSubTransaction();
    restore();
  });
  if (failure) std::rethrow_exception(failure);
  return problem;
}

}  // namespace cache_invalidate::pg
