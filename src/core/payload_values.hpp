// What a message takes from a row: the `fields` bytes, made in the writer's backend.
#pragma once

#include <string>

#include "core/expand.hpp"
#include "core/rule.hpp"

namespace cache_invalidate::core {

// Replaces `out` by what the messages of the rule hold of the row: in the ready shapes the JSON fragment of the fields,
// with a payload its values (see payload_program.hpp). No allocation but in `out`.
void render_row(const Rule& rule, const Value* values, std::string& out);

}  // namespace cache_invalidate::core
