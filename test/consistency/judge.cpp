// The judge of the consistency checker, when the clients have ended and settled, and all is delivered.
//
//   judge --log DIR --database CONNINFO --redis ADDRESS [--second-redis ADDRESS] [--second-delete-ms N]
//         [--faults FILE] [--window-ms N] [--recovery-ms N] [--expect-races N] [--min-reads N] [--show N]
//
// FILE has a line "BEGIN END NAME" for each fault, in nanoseconds of CLOCK_MONOTONIC. Deletes have
// --window-ms after the commit was acknowledged, and during a fault until --recovery-ms after its end. With
// --expect-races the plain readers must have lost so many races at least: else the clients were too tame to
// prove anything.
//
// Exit status: 0 sound; 1 violations, of which --show are told; 2 the run proves nothing, or could not be
// judged. The last line is JSON.
#include <cstdio>
#include <exception>
#include <string>

#include "arguments.hpp"
#include "evidence.hpp"
#include "report.hpp"
#include "trial.hpp"
#include "verdict.hpp"

namespace cache_invalidate::consistency {
namespace {

enum Status { kSound = 0, kViolated = 1, kProvesNothing = 2 };
constexpr const char* kStatusNames[] = {"sound", "violated", "proves nothing"};

Rules rules_of(const Arguments& arguments) {
  Rules rules;
  rules.window = arguments.number("window-ms") * kMillisecond;
  rules.recovery = arguments.number("recovery-ms") * kMillisecond;
  if (arguments.has("faults")) rules.faults = load_faults(arguments.text("faults"));
  const Nanoseconds second_delete = arguments.number("second-delete-ms") * kMillisecond;
  rules.guards[static_cast<int>(Protocol::plain)] = {true, 0};
  rules.guards[static_cast<int>(Protocol::second)] = {true, second_delete};
  rules.guards[static_cast<int>(Protocol::replica)] = {true, second_delete};
  return rules;
}

Evidence evidence_of(const Arguments& arguments) {
  Evidence evidence;
  load_logs(arguments.required("log"), evidence);
  load_history(arguments.required("database"), evidence);
  load_keys(arguments.required("redis"), evidence);
  if (arguments.has("second-redis")) load_keys(arguments.text("second-redis"), evidence);
  return evidence;
}

Status status_of(const Trial& trial, const Arguments& arguments) {
  if (!trial.violations.empty()) return kViolated;
  const auto races = static_cast<long long>(trial.protocols[static_cast<int>(Protocol::plain)].races.size());
  const bool is_tame = races < arguments.number("expect-races");
  if (is_tame) std::printf("plain readers lost %lld races: too few\n", races);
  const bool is_idle = trial.tallies.all().reads < arguments.number("min-reads");
  if (is_idle) std::printf("too few reads\n");
  return is_tame || is_idle ? kProvesNothing : kSound;
}

int main_of(int count, char** words) {
  const Arguments arguments(count, words,
                            {{"log", ""},
                             {"database", ""},
                             {"redis", ""},
                             {"second-redis", ""},
                             {"second-delete-ms", "0"},
                             {"faults", ""},
                             {"window-ms", "5000"},
                             {"recovery-ms", "5000"},
                             {"expect-races", "0"},
                             {"min-reads", "1000"},
                             {"show", "50"}},
                            {});
  const Rules rules = rules_of(arguments);
  const Evidence evidence = evidence_of(arguments);
  Trial trial(evidence, rules, arguments.text("log"));
  trial.hear();
  print_tables(stdout, evidence, rules, trial);
  long long left = arguments.number("show");
  for (const std::string& violation : trial.violations) {
    if (left-- <= 0) break;
    std::printf("VIOLATION %s\n", violation.c_str());
  }
  const Status status = status_of(trial, arguments);
  std::printf("%s: %zu violations\n", kStatusNames[status], trial.violations.size());
  print_json(stdout, evidence, trial, kStatusNames[status]);
  return status;
}

}  // namespace
}  // namespace cache_invalidate::consistency

int main(int count, char** words) {
  try {
    return cache_invalidate::consistency::main_of(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "judge: %s\n", error.what());
    return 2;
  }
}
