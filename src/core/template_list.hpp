// Templates as somebody gives them to a function: one, or several in one text.
//
//   task:{id}                          one
//   {task:{id},tasks:list:{project}}   two: as in an array's text, but braces need no quotes around them
//
// A text is a list if its first brace is closed by its last character and there is more than one plain word in it: a
// brace, a comma, or nothing. So {id} is a template, and {{id}} the list of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace cache_invalidate::core {

// `what`: the argument's name, for errors. Spaces around an element don't count; one in double quotes is taken as in an
// array's text, with backslashes. Any encoding whose other characters have no ASCII in them.
Result<std::vector<std::string>> parse_template_list(std::string_view what, std::string_view text);

// {$schema} and {$table} replaced by the names, so that a template, or a glob, has them literally.
std::string replace_table_names(std::string_view text, std::string_view schema, std::string_view table, bool is_glob);

}  // namespace cache_invalidate::core
