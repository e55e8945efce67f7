"""The benchmarks: see `make bench` in docs/performance.md.

  run.py --bindir DIR --sharedir DIR --pkglibdir DIR --user USER --programs DIR --out DIR [--quick]
         [--rounds N] [--seconds N] [--workloads REGEX] [--variants NAME,...]
"""

import argparse
import os
import platform
import re
import sys
import time

import report
import workloads
from cluster import Cluster
from figures import Figures
from variants import NONE, VARIANTS, base_of, create, missing


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("bindir", "sharedir", "pkglibdir", "user", "programs", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--workloads", default="")
    parser.add_argument("--variants", default="")
    given = parser.parse_args()
    given.rounds = given.rounds or (3 if given.quick else 5)
    given.seconds = given.seconds or (2 if given.quick else 3)
    return given


def wanted_variants(given):
    names = given.variants.split(",") if given.variants else [variant.name for variant in VARIANTS]
    unknown = set(names) - {variant.name for variant in VARIANTS}
    if unknown:
        sys.exit(f"bench: no such variant: {', '.join(sorted(unknown))}; there are {', '.join(v.name for v in VARIANTS)}")
    wanted = {NONE, *names, *(base_of(variant) for variant in VARIANTS if variant.name in names)}
    found = []
    for variant in VARIANTS:
        why = missing(variant, given.sharedir, given.pkglibdir)
        if variant.name not in wanted:
            continue
        if why:
            print(f"without {variant.title}: {why}", flush=True)
        else:
            found.append(variant)
    return found


def logical_settings(given):
    """A server with minor release 15.20 or its siblings loads an output plugin only when this names it."""
    said = os.popen(f"{given.bindir}/postgres --describe-config").read()
    settings = {"wal_level": "logical"}
    if re.search(r"^output_plugin_libraries\t", said, re.M):
        settings["output_plugin_libraries"] = "'wal2json'"
    return settings


def take_turns(cluster, figures, given, workload, variants):
    if hasattr(workload, "run_all"):
        workload.run_all(cluster, figures, variants)
        return
    taking = [variant for variant in variants if workloads.takes(workload, variant)]
    for number in range(given.rounds):
        first = number % max(1, len(taking))
        for variant in taking[first:] + taking[:first]:
            workload.run(workloads.Slice(cluster, figures, workload.name, variant, number, given.seconds))


def measure(given, figures, chosen, variants, bulk_rows, write, **settings):
    """All workloads on one server; `write` is told the server's version after each, so that a run that is broken off leaves what it has."""
    variants = [variant for variant in variants if any(workloads.takes(workload, variant) for workload in chosen)]
    if all(variant.name == base_of(variant) for variant in variants):
        return
    cluster = Cluster(given.bindir, given.user, given.programs, bulk_rows, **settings)
    try:
        for variant in variants:
            create(cluster, variant)
        for workload in chosen:
            begin = time.monotonic()
            print(f"{workload.title} ... ", end="", flush=True)
            take_turns(cluster, figures, given, workload, variants)
            print(f"{time.monotonic() - begin:.0f} s", flush=True)
            write(cluster.psql("postgres", "SELECT version()").split(" on ")[0])
    finally:
        cluster.stop()


def write_results(given, figures, chosen, variants, version):
    about = [f"{version}, {os.cpu_count()} processors, {platform.machine()}. Medians of {given.rounds} rounds in which the variants took turns, "
             f"{given.seconds} s each; clients, consumers and Redis on the same machine. The resolution is half the distance of the quartiles."]
    os.makedirs(given.out, exist_ok=True)
    figures.write_csv(os.path.join(given.out, "results.csv"))
    for name, text in (("results.md", report.markdown(figures, chosen, variants, about)), ("results.svg", report.chart(figures, chosen, variants))):
        with open(os.path.join(given.out, name), "w", encoding="utf-8") as file:
            file.write(text)


def main():
    given = arguments()
    bulk_rows = 100_000 if given.quick else 1_000_000
    variants = wanted_variants(given)
    known = workloads.all_workloads(given.quick, bulk_rows)
    chosen = [workload for workload in known if re.search(given.workloads, workload.name)]
    if not chosen:
        sys.exit(f"bench: no workload matches {given.workloads}; there are {', '.join(w.name for w in known)}")
    figures = Figures()
    write = lambda version: write_results(given, figures, chosen, variants, version)
    measure(given, figures, chosen, [v for v in variants if not v.logical], bulk_rows, write)
    shared = [w for w in chosen if isinstance(w, (workloads.Throughput, workloads.Bulk, workloads.Latency)) and not w.only]
    measure(given, figures, shared, [v for v in variants if v.logical], bulk_rows, write, **logical_settings(given))
    if not figures.rows:
        sys.exit("bench: none of these variants takes part in these workloads, beside no trigger")
    with open(os.path.join(given.out, "results.md"), encoding="utf-8") as file:
        print(f"\n{file.read()}\nAlso in {given.out}: results.csv, results.md, results.svg")


if __name__ == "__main__":
    main()
