// What functions of the extension need before anything else: the extension.
#pragma once

#include "pg/extension.hpp"

namespace cache_invalidate::admin {

// Raises an error where it is not installed: a function of it may have been made by hand.
inline const pg::Extension& installed_extension() {
  const pg::Extension* extension = pg::extension();
  if (extension == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"cache_invalidate\" is not installed")));
  }
  return *extension;
}

}  // namespace cache_invalidate::admin
