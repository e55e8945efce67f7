// The figures of a trial: tables for people, and one line of JSON.
#pragma once

#include <cstdio>

#include "evidence.hpp"
#include "trial.hpp"

namespace cache_invalidate::consistency {

void print_tables(std::FILE* out, const Evidence& evidence, const Rules& rules, Trial& trial);
void print_json(std::FILE* out, const Evidence& evidence, Trial& trial, const char* verdict);

}  // namespace cache_invalidate::consistency
