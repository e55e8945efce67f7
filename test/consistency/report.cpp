#include "report.hpp"

#include <set>
#include <string>

namespace cache_invalidate::consistency {

namespace {

constexpr struct {
  const char* name;
  Nanoseconds time;
} kLimits[] = {{"100ms", kSecond / 10},
               {"1s", kSecond},
               {"10s", 10 * kSecond},
               {"60s", 60 * kSecond},
               {"end", kNever - 1}};

double ms(Nanoseconds time) {
  return static_cast<double>(time) / static_cast<double>(kMillisecond);
}

double rate(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

bool is_used(const ProtocolCounts& counts) {
  return counts.hits + counts.misses > 0;
}

long long number(std::int64_t value) {
  return value;
}

void print_tally(std::FILE* out, const char* protocol, const char* fault, Tally tally) {
  std::fprintf(out, "%-9s %-18s %9lld %9lld %8lld %8lld %8lld %7lld %9.1f %9.1f %9.1f %9.1f\n", protocol,
               fault, number(tally.reads), number(tally.count(Verdict::fresh)),
               number(tally.count(Verdict::stale_within)), number(tally.count(Verdict::stale_in_fault)),
               number(tally.count(Verdict::fill_race)),
               number(tally.count(Verdict::stale_beyond) + tally.count(Verdict::never_committed) +
                      tally.count(Verdict::not_yet)),
               ms(percentile(tally.ages, tally.reads, 0.5)), ms(percentile(tally.ages, tally.reads, 0.99)),
               ms(percentile(tally.ages, tally.reads, 0.999)), ms(percentile(tally.ages, tally.reads, 1)));
}

void print_reads(std::FILE* out, const Trial& trial) {
  std::fprintf(out, "%-9s %-18s %9s %9s %8s %8s %8s %7s %9s %9s %9s %9s\n", "protocol", "fault", "reads",
               "fresh", "within", "in fault", "race", "WRONG", "p50 ms", "p99 ms", "p99.9 ms", "max ms");
  std::set<std::string> faults;
  for (const auto& [key, tally] : trial.tallies.each()) {
    print_tally(out, name_of(key.first), key.second.c_str(), tally);
    faults.insert(key.second);
  }
  for (int protocol = 0; protocol < kProtocols; ++protocol) {
    if (is_used(trial.protocols[protocol])) {
      print_tally(out, name_of(static_cast<Protocol>(protocol)), "all",
                  trial.tallies.of(static_cast<Protocol>(protocol)));
    }
  }
  for (const std::string& fault : faults) print_tally(out, "all", fault.c_str(), trial.tallies.of(fault));
  print_tally(out, "all", "all", trial.tallies.all());
}

void print_protocols(std::FILE* out, const Trial& trial) {
  std::fprintf(out, "\n%-9s %8s %9s %8s %8s %7s %9s %8s %8s  %s\n", "protocol", "hit rate", "stored",
               "refused", "unknown", "races", "per 1000", "keys", "stale",
               "changes that nobody saw undone for longer than 100ms 1s 10s 60s, in the end");
  for (int protocol = 0; protocol < kProtocols; ++protocol) {
    const ProtocolCounts& counts = trial.protocols[protocol];
    if (!is_used(counts)) continue;
    const auto races = static_cast<std::int64_t>(counts.races.size());
    std::fprintf(out, "%-9s %7.1f%% %9lld %8lld %8lld %7lld %9.3f %8lld %8lld ",
                 name_of(static_cast<Protocol>(protocol)),
                 100 * rate(counts.hits, counts.hits + counts.misses), number(counts.fills[0]),
                 number(counts.fills[2]), number(counts.fills[1]), number(races),
                 1000 * rate(races, trial.changes), number(counts.keys), number(counts.stale_keys));
    for (const auto& limit : kLimits) {
      std::fprintf(out, " %.5f",
                   share(trial.ages.above(static_cast<Protocol>(protocol), limit.time), trial.changes));
    }
    std::fprintf(out, "\n");
  }
}

void print_commits(std::FILE* out, const Evidence& evidence, Trial& trial) {
  std::fprintf(out, "\n%-10s %9s %8s %8s\n", "commits", "done", "unknown", "refused");
  for (int kind = 0; kind < kKinds; ++kind) {
    const std::int64_t* outcomes = evidence.outcomes[kind];
    std::fprintf(out, "%-10s %9lld %8lld %8lld\n", name_of(static_cast<Kind>(kind)), number(outcomes[0]),
                 number(outcomes[1]), number(outcomes[2]));
  }
  std::fprintf(out, "%lld changes of rows acknowledged, %lld committed without anybody being told\n\n",
               number(trial.changes), number(trial.unknown));
  for (int channel = 0; channel < 2; ++channel) {
    std::vector<Nanoseconds>& times = trial.announced[channel];
    const auto count = static_cast<std::int64_t>(times.size());
    std::fprintf(out,
                 "%-8s %9lld messages, %lld wide, %lld out of order, %zu gaps; after the commit began: p50 "
                 "%.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms\n",
                 channel == 0 ? "NOTIFY" : "PUBLISH", number(trial.messages[channel]),
                 number(trial.wide[channel]), number(trial.repeated[channel]), evidence.gaps[channel].size(),
                 ms(percentile(times, count, 0.5)), ms(percentile(times, count, 0.99)),
                 ms(percentile(times, count, 0.999)), ms(percentile(times, count, 1)));
  }
  std::fprintf(out, "%lld last changes had to be announced\n", number(trial.must_announced));
  std::fprintf(out, "%lld keys looked at when their message came, %lld of them older than it\n",
               number(trial.signals), number(trial.old_signals));
}

void print_json_protocol(std::FILE* out, const Trial& trial, Protocol protocol) {
  const ProtocolCounts& counts = trial.protocols[static_cast<int>(protocol)];
  Tally tally = trial.tallies.of(protocol);
  const auto races = static_cast<std::int64_t>(counts.races.size());
  std::fprintf(out, "\"%s\":{\"reads\":%lld", name_of(protocol), number(tally.reads));
  for (int verdict = 0; verdict < kVerdicts; ++verdict) {
    std::fprintf(out, ",\"%s\":%lld", name_of(static_cast<Verdict>(verdict)),
                 number(tally.verdicts[static_cast<std::size_t>(verdict)]));
  }
  std::fprintf(out,
               ",\"hit_rate\":%.4f,\"races\":%lld,\"races_per_1000\":%.3f,\"keys\":%lld,\"stale_keys\":%lld",
               rate(counts.hits, counts.hits + counts.misses), number(races),
               1000 * rate(races, trial.changes), number(counts.keys), number(counts.stale_keys));
  std::fprintf(out, ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f",
               ms(percentile(tally.ages, tally.reads, 0.5)), ms(percentile(tally.ages, tally.reads, 0.99)),
               ms(percentile(tally.ages, tally.reads, 0.999)), ms(percentile(tally.ages, tally.reads, 1)));
  for (const auto& limit : kLimits) {
    std::fprintf(out, ",\"fresh_after_%s\":%.7f", limit.name,
                 share(trial.ages.above(protocol, limit.time), trial.changes));
  }
  std::fprintf(out, "}");
}

void print_json_faults(std::FILE* out, const Trial& trial) {
  std::set<std::string> faults;
  for (const auto& entry : trial.tallies.each()) faults.insert(entry.first.second);
  const char* separator = "";
  for (const std::string& fault : faults) {
    Tally tally = trial.tallies.of(fault);
    std::fprintf(out,
                 "%s\"%s\":{\"reads\":%lld,\"stale\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,"
                 "\"max_ms\":%.3f}",
                 separator, fault.c_str(), number(tally.reads), tally.ages.size(),
                 ms(percentile(tally.ages, tally.reads, 0.5)), ms(percentile(tally.ages, tally.reads, 0.99)),
                 ms(percentile(tally.ages, tally.reads, 0.999)), ms(percentile(tally.ages, tally.reads, 1)));
    separator = ",";
  }
}

}  // namespace

void print_tables(std::FILE* out, const Evidence& evidence, const Rules& rules, Trial& trial) {
  print_reads(out, trial);
  print_protocols(out, trial);
  print_commits(out, evidence, trial);
  std::fprintf(out, "window %.0f ms, recovery %.0f ms after each of %zu faults\n", ms(rules.window),
               ms(rules.recovery), rules.faults.size());
}

void print_json(std::FILE* out, const Evidence& evidence, Trial& trial, const char* verdict) {
  std::fprintf(out,
               "{\"verdict\":\"%s\",\"violations\":%zu,\"reads\":%lld,\"changes\":%lld,\"unknown\":%lld,"
               "\"protocols\":{",
               verdict, trial.violations.size(), number(trial.tallies.all().reads), number(trial.changes),
               number(trial.unknown));
  const char* separator = "";
  for (int protocol = 0; protocol < kProtocols; ++protocol) {
    if (!is_used(trial.protocols[protocol])) continue;
    std::fprintf(out, "%s", separator);
    print_json_protocol(out, trial, static_cast<Protocol>(protocol));
    separator = ",";
  }
  std::fprintf(out, "},\"faults\":{");
  print_json_faults(out, trial);
  std::fprintf(out, "},\"commits\":{");
  for (int kind = 0; kind < kKinds; ++kind) {
    const std::int64_t* outcomes = evidence.outcomes[kind];
    std::fprintf(out, "%s\"%s\":[%lld,%lld,%lld]", kind == 0 ? "" : ",", name_of(static_cast<Kind>(kind)),
                 number(outcomes[0]), number(outcomes[1]), number(outcomes[2]));
  }
  std::fprintf(out, "},\"messages\":{");
  for (int channel = 0; channel < 2; ++channel) {
    std::vector<Nanoseconds>& times = trial.announced[channel];
    const auto count = static_cast<std::int64_t>(times.size());
    std::fprintf(out,
                 "%s\"%s\":{\"count\":%lld,\"wide\":%lld,\"out_of_order\":%lld,\"p50_ms\":%.3f,\"p99_ms\":%."
                 "3f,\"p999_ms\":%.3f,\"max_ms\":%.3f}",
                 channel == 0 ? "" : ",", channel == 0 ? "notify" : "publish",
                 number(trial.messages[channel]), number(trial.wide[channel]),
                 number(trial.repeated[channel]), ms(percentile(times, count, 0.5)),
                 ms(percentile(times, count, 0.99)), ms(percentile(times, count, 0.999)),
                 ms(percentile(times, count, 1)));
  }
  std::fprintf(out, "},\"must_announced\":%lld,\"signals\":%lld,\"old_signals\":%lld}\n",
               number(trial.must_announced), number(trial.signals), number(trial.old_signals));
}

}  // namespace cache_invalidate::consistency
