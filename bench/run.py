"""The benchmarks: see `make bench` in docs/performance.md.

  run.py --bindir DIR --sharedir DIR --pkglibdir DIR --user USER --programs DIR --out DIR [--quick]
         [--rounds N] [--seconds N] [--workloads REGEX] [--variants NAME,...]
"""

import argparse
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

import report
import workloads
from cluster import WHERE, Cluster
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


def attempt(what, run):
    """What fails, a variant or a slice, is told, and the next ones go on. True: it did not."""
    try:
        run()
    except (OSError, RuntimeError, TimeoutError, ValueError, subprocess.SubprocessError):
        print(f"\nFAILED: {what}\n{traceback.format_exc()}", flush=True)
        return False
    return True


def take_turns(cluster, figures, given, workload, variants):
    """How many slices failed."""
    cluster.psql("postgres", "CHECKPOINT")
    if hasattr(workload, "run_all"):
        return 0 if attempt(workload.name, lambda: workload.run_all(cluster, figures, variants)) else 1
    taking = [variant for variant in variants if workloads.takes(workload, variant)]
    failed = 0
    for number in range(given.rounds):
        # Nobody has always the same one before it; the same in each run.
        for variant in random.Random(f"{workload.name} {number}").sample(taking, len(taking)):
            turn = workloads.Slice(cluster, figures, workload.name, variant, number, given.seconds)
            failed += 0 if attempt(f"{workload.name}, {variant.title}, round {number}", lambda: workload.run(turn)) else 1
    return failed


def measure(given, figures, chosen, variants, bulk_rows, write, **settings):
    """All workloads on one server; returns how many slices and variants failed. `write` is told the server's version after each, so
    that a run that is broken off leaves what it has."""
    variants = [variant for variant in variants if any(workloads.takes(workload, variant) for workload in chosen)]
    # No trigger alone is measured only where nothing else is asked for.
    if all(variant.name == base_of(variant) for variant in variants) and not any(workload.only == (NONE,) for workload in chosen):
        return 0
    failed = 0
    cluster = Cluster(given.bindir, given.user, given.programs, bulk_rows, **settings)
    try:
        made = [variant for variant in variants if attempt(f"making {variant.title}", lambda: create(cluster, variant))]
        failed += len(variants) - len(made)
        for workload in chosen:
            begin = time.monotonic()
            print(f"{workload.title} ... ", end="", flush=True)
            failed += take_turns(cluster, figures, given, workload, made)
            print(f"{time.monotonic() - begin:.0f} s", flush=True)
            write(cluster.psql("postgres", "SELECT version()").split(" on ")[0])
    finally:
        cluster.stop()
    return failed


def write_results(given, figures, chosen, variants, version):
    about = [f"{version}, {os.cpu_count()} processors, {platform.machine()}, {platform.system()} {platform.release()}, {time.strftime('%Y-%m-%d')}. "
             f"Medians of {given.rounds} rounds in which the variants took turns, {given.seconds} s each where it is a matter of time, and behind "
             "\"±\" the standard error of the median. Clients, consumers and Redis run on the same machine."]
    os.makedirs(given.out, exist_ok=True)
    figures.write_csv(os.path.join(given.out, "results.csv"))
    for name, text in (("results.md", report.markdown(figures, chosen, variants, about)), ("results.svg", report.chart(figures, chosen, variants))):
        with open(os.path.join(given.out, name), "w", encoding="utf-8") as file:
            file.write(text)


def warn_of_little_room(given):
    """All workloads with all variants write that much WAL before a checkpoint, and have a database each."""
    needed = 6 if given.quick else 25
    free = shutil.disk_usage(WHERE).free / 1e9
    if free < needed:
        print(f"only {free:.0f} GB are free in {WHERE}, and a whole run may take {needed}: BENCH_TMP names another folder", flush=True)


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    given = arguments()
    bulk_rows = 100_000 if given.quick else 1_000_000
    variants = wanted_variants(given)
    known = workloads.all_workloads(given.quick, bulk_rows)
    chosen = [workload for workload in known if re.search(given.workloads, workload.name)]
    if not chosen:
        sys.exit(f"bench: no workload matches {given.workloads}; there are {', '.join(w.name for w in known)}")
    warn_of_little_room(given)
    figures = Figures()
    write = lambda version: write_results(given, figures, chosen, variants, version)
    failed = measure(given, figures, chosen, [v for v in variants if not v.logical], bulk_rows, write)
    shared = [w for w in chosen if isinstance(w, (workloads.Throughput, workloads.Bulk, workloads.Latency)) and not w.only]
    failed += measure(given, figures, shared, [v for v in variants if v.logical], bulk_rows, write, **logical_settings(given))
    if not figures.rows:
        sys.exit("bench: none of these variants takes part in these workloads, beside no trigger")
    with open(os.path.join(given.out, "results.md"), encoding="utf-8") as file:
        print(f"\n{file.read()}\nAlso in {given.out}: results.csv, results.md, results.svg")
    if failed:
        sys.exit(f"bench: {failed} slices or variants failed: see above")


if __name__ == "__main__":
    main()
