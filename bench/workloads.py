"""What is measured. A workload runs one slice for one variant and notes figures; run.py lets the variants take turns."""

import os
import re
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field

from cluster import ITEMS, Consumer, drain, wait_until
from figures import quantile
from variants import base_of

CLIENTS = 8
OFF = "-c synchronous_commit=off"
ON = "-c synchronous_commit=on"
UPDATE = f"\\set id random(1, {ITEMS})\nUPDATE item SET version = version + 1 WHERE id = :id;\n"
# Each client has rows of its own: there are no deadlocks.
SHARE = ITEMS // CLIENTS
MANY = "BEGIN;\n" + "".join(
    f"\\set id :client_id * {SHARE} + random(1, {SHARE})\nUPDATE item SET version = version + 1 WHERE id = :id;\n"
    for _ in range(50)) + "COMMIT;\n"
# What fits into five minutes.
QUICK = ("update_8_off", "update_8_on", "bulk", "key_200", "self_200", "paired", "outage", "linear")
HOT = "\\set id random(1, 10)\nUPDATE item SET version = version + 1 WHERE id = :id;\n"


@dataclass
class Slice:
    """One variant's turn in one round of a workload."""
    cluster: object
    figures: object
    workload: str
    variant: object
    round: int
    seconds: int

    def note(self, quantity, value, unit):
        self.figures.add(self.workload, self.variant.name, self.round, quantity, value, unit)

    def consumer(self):
        return Consumer(self.cluster, self.variant.consumer, self.variant.name)

    def drain(self, consumer):
        taken = drain(self.cluster, consumer, self.variant.deletes)
        return taken if self.variant.deletes else 0.0

    def settle(self):
        """Waits until our worker owes nothing: it lets a sentinel pass a transaction of very many keys. Returns how long that took."""
        owed = "SELECT sum(batches_owed + keys_pending + patterns_pending + reads_journal::int) FROM cache_invalidation_targets"
        return wait_until("the worker to owe nothing", lambda: self.cluster.psql(self.variant.name, owed) == "0")

    def timed(self, statement, after="", **variables):
        """Seconds that the server takes for a statement, as psql tells, and what the session says then of what comes after it."""
        said = self.cluster.psql(self.variant.name, f"\\timing on\n{statement}\n\\timing off\n{after}", OFF, **variables)
        *_, last = re.finditer(r"^Time: ([0-9.]+) ms.*\n?", said, re.M)
        return float(last.group(1)) / 1000, said[last.end():]


def takes(workload, variant):
    if workload.only:
        return variant.name in workload.only
    return not variant.aside or variant.name in getattr(workload, "also", ())


def machine_time():
    """Seconds of processor time that the machine spent working, and that its host took away."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    user, nice, system, _idle, _waiting, irq, softirq, stolen = (tick / os.sysconf("SC_CLK_TCK") for tick in ticks)
    return user + nice + system + irq + softirq, stolen


def process_time(pid):
    """Seconds of processor time of a process."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def worker_of(turn):
    """The process id of the variant's worker, or None."""
    return turn.cluster.worker(turn.variant.name) if turn.variant.name.startswith("ours") else None


def sizes(status):
    """What /proc/PID/status says of the process's memory, in MB by name."""
    return {name: int(size) / 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.M)}


def note_memory(turn, whose, pid):
    """MB that are neither of a file nor shared."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        turn.note(f"memory of the {whose}", sizes(file.read())["RssAnon"], "MB")


# Of the backend itself, in an old server as well: there the length has to be said.
STATUS = "SELECT pg_read_file('/proc/self/status', 0, 10000);\n"


def most_memory(status):
    """MB of that kind that the process had when it had most memory at all, or more: what it has of files and of shared memory, buffers
    that it touched, only grows, and is taken off as it is in the end."""
    size = sizes(status)
    return max(size["RssAnon"], size["VmHWM"] - size["RssFile"] - size["RssShmem"])


def pgbench(turn, script, clients, options, builtin=False):
    """Transactions per second, and how many there were."""
    words = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", f"{turn.seconds}"]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        said = turn.cluster.run("pgbench", *words, *(["-b", script] if builtin else ["-f", file.name]), turn.variant.name,
                                options=options)
    return (float(re.search(r"^tps = ([0-9.]+)", said, re.M).group(1)),
            int(re.search(r"transactions actually processed: (\d+)", said).group(1)))


@dataclass
class Throughput:
    """pgbench for a slice of time."""
    name: str
    title: str
    script: str
    clients: int = CLIENTS
    options: str = OFF
    builtin: bool = False
    only: tuple = ()
    target: dict = field(default_factory=dict)  # the ratio to reach, by variant
    unit = "transactions/s"
    quantity = "tps"

    def run(self, turn):
        cluster = turn.cluster
        worker = worker_of(turn)
        with turn.consumer() as consumer:
            worker_time = process_time(worker) if worker else 0
            commands = cluster.redis.commands_processed()
            wal = cluster.wal_position()
            busy, stolen = machine_time()
            tps, transactions = pgbench(turn, self.script, self.clients, self.options, self.builtin)
            turn.note("lag at the end", turn.drain(consumer), "s")
            after, stolen_after = machine_time()
            if consumer.process:
                note_memory(turn, "consumer", consumer.process.pid)
        turn.note("tps", tps, self.unit)
        turn.note("WAL", (cluster.wal_position() - wal) / transactions, "bytes/transaction")
        if consumer.received is not None:
            turn.note("received", consumer.received / transactions, "1/transaction")
        turn.note("processor time of the machine", (after - busy) / transactions * 1e6, "µs/transaction")
        turn.note("stolen", stolen_after - stolen, "s")
        turn.note("commands to Redis", (cluster.redis.commands_processed() - commands) / transactions, "1/transaction")
        if worker:
            turn.note("processor time of the worker", (process_time(worker) - worker_time) / transactions * 1e6, "µs/transaction")
            note_memory(turn, "worker", worker)


@dataclass
class Bulk:
    """One statement that changes very many rows."""
    name: str
    title: str
    statement: str
    after: str
    rows: int
    only: tuple = ()
    also: tuple = ("ours_exact",)  # variants that stand aside elsewhere
    target: dict = field(default_factory=dict)
    unit = "s"
    quantity = "time"

    def run(self, turn):
        cluster = turn.cluster
        worker = worker_of(turn)
        with turn.consumer() as consumer:
            worker_time = process_time(worker) if worker else 0
            wal = cluster.wal_position()
            taken, status = turn.timed(self.statement, STATUS, file=os.path.join(cluster.folder, "rows"))
            turn.note("time", taken, self.unit)
            turn.note("memory of the backend", most_memory(status), "MB")
            turn.note("lag at the end", turn.drain(consumer) + (turn.settle() if worker else 0), "s")
            # With the delivery: a queue's rows are deleted, too.
            turn.note("WAL of a row", (cluster.wal_position() - wal) / self.rows, "bytes")
            if worker:
                turn.note("processor time of the worker, of a row", (process_time(worker) - worker_time) / self.rows * 1e6, "µs")
            cluster.psql(turn.variant.name, self.after)
            turn.drain(consumer)
            if worker:
                turn.settle()  # the TRUNCATE's
        if consumer.received is not None:
            turn.note("received of a row", consumer.received / self.rows, "1")


@dataclass
class Latency:
    """How long after COMMIT a key is gone, or a message is there; alone, or beside writers who do all they can. Beside them, what
    such writers do without a trigger is measured as well, while the application deletes the key itself."""
    name: str
    title: str
    mode: str
    clients: int = 0
    only: tuple = ()
    target: dict = field(default_factory=dict)
    unit = "ms"
    quantity = "median"
    rate = 200

    def run(self, turn):
        cluster, variant = turn.cluster, turn.variant
        mode = "self" if self.clients and variant.name == base_of(variant) else self.mode
        if not variant.deletes and mode != "self" or mode == "notify" and not variant.channel:
            return
        command = [os.path.join(cluster.programs, "latency"), mode, f"{cluster.conninfo} dbname={variant.name} options='{OFF}'",
                   cluster.redis.path, str(self.rate), f"{turn.seconds}", variant.channel or "none"]
        with turn.consumer() as consumer:
            program = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
            try:
                if self.clients:
                    turn.note("tps", pgbench(turn, UPDATE, self.clients, OFF)[0], "transactions/s")
                lines = program.communicate(timeout=turn.seconds + 120)[0].split()
            finally:
                program.kill()  # does nothing where it has ended
                program.wait()
            if program.returncode != 0:
                raise RuntimeError(f"latency failed for {variant.name}")
            turn.drain(consumer)
        times = [float(line) / 1000 for line in lines]
        turn.note("median", statistics.median(times), self.unit)
        turn.note("p99", quantile(times, 0.99), self.unit)
        turn.note("rate", len(times) / turn.seconds, "transactions/s")


@dataclass
class Paired:
    """Processor time and WAL of one transaction, by sessions that take turns: all variants at once, in round 0 only."""
    name: str
    title: str
    transactions: int
    rounds: int
    only: tuple = ("none", "floor", "ours", "ours_off")
    target: dict = field(default_factory=dict)
    unit = "µs"
    quantity = "processor time of the backend"

    def run_all(self, cluster, figures, variants):
        databases = [variant.name for variant in variants if variant.name in self.only]
        said = subprocess.run([os.path.join(cluster.programs, "paired"), f"{cluster.conninfo} options='{OFF}'",
                               str(self.transactions), str(self.rounds), *databases], text=True, stdout=subprocess.PIPE, check=True)
        for number, line in enumerate(said.stdout.splitlines()):
            name, backend, wall, wal, worker = line.split()
            for quantity, value, unit in (("processor time of the backend", backend, "µs"), ("time", wall, "µs"), ("WAL", wal, "bytes"),
                                          ("processor time of the worker", worker, "µs")):
                figures.add(self.name, name, number // len(databases), quantity, float(value), unit)


@dataclass
class Outage:
    """A Redis hangs while keys become stale, and goes on: how many the worker gives out a second of its processor time."""
    name: str
    title: str
    only: tuple = ("ours",)
    target: dict = field(default_factory=dict)
    unit = "keys/s of processor time"
    quantity = "drained"

    def run(self, turn):
        cluster, database = turn.cluster, turn.variant.name
        worker = cluster.worker(database)
        keys = cluster.bulk_rows
        cluster.redis.fill("bulk:", keys)
        probes = [f"bulk:{n}" for n in (*range(1, keys, keys // 100), keys)]
        # A key that was never there would look like one that is gone.
        if cluster.redis.command("EXISTS", *probes) != str(len(probes)):
            raise RuntimeError("Redis has not all the keys that were made")
        owed = lambda: int(cluster.psql(database, "SELECT sum(keys_pending) FROM cache_invalidation_targets"))
        begin = process_time(worker)
        with cluster.redis.hanging():
            # So few at a time that nothing is widened.
            cluster.psql(database, "".join(f"UPDATE bulk SET version = version + 1 WHERE id BETWEEN {n + 1} AND {n + 40_000};\n"
                                           for n in range(0, keys, 40_000)), OFF)
            wait_until("the keys to be owed", lambda: owed() >= keys, pause=0.1)
            before = process_time(worker)
            note_memory(turn, "worker, keys owed", worker)
        taken = wait_until("the keys to be gone", lambda: cluster.redis.command("EXISTS", *probes) == "0")
        end = process_time(worker)
        turn.note("drained", keys / (end - before), self.unit)
        turn.note("taken and drained", keys / (end - begin), self.unit)
        turn.note("drained by the clock", keys / taken, "keys/s")
        note_memory(turn, "worker", worker)
        cluster.psql(database, "VACUUM bulk")


@dataclass
class Linear:
    """Time per key of a transaction with so many, without that of making their names."""
    name: str
    title: str
    keys: tuple
    only: tuple = ("ours",)
    target: dict = field(default_factory=dict)
    unit = "µs/key"
    quantity = "time"

    def run(self, turn):
        for keys in self.keys:
            named, _ = turn.timed(f"SELECT count('k:' || n) FROM generate_series(1, {keys}) n;")
            taken, _ = turn.timed(f"SET cache_invalidate.max_items_per_transaction = {keys};\n"
                               f"SELECT count(invalidate_cache_key('k:' || n)) FROM generate_series(1, {keys}) n;")
            turn.note(f"{keys} keys", (taken - named) / keys * 1e6, self.unit)
            with turn.consumer() as consumer:
                turn.drain(consumer)


def all_workloads(quick, bulk_rows):
    """`quick`: those that fit into five minutes."""
    goals = {(8, "off"): {"ours": 0.90, "ours_listen": 0.80}, (8, "on"): {"ours": 0.96, "ours_listen": 0.90},
             (32, "on"): {"ours": 0.94}, (64, "on"): {"ours": 0.94}}
    loads = [(8, "off"), (8, "on")] if quick else [(c, s) for s in ("off", "on") for c in (1, 8, 32, 64)]
    found = [Throughput(f"update_{clients}_{sync}", f"one-row UPDATE, {clients} client{'s' if clients > 1 else ''}, synchronous_commit {sync}", UPDATE, clients,
                        f"-c synchronous_commit={sync}", target=goals.get((clients, sync), {})) for clients, sync in loads]
    found += [
        Throughput("update_50", "50 updates per transaction, 8 clients", MANY, target={"ours": 0.93}),
        Bulk("bulk", f"UPDATE of {bulk_rows} rows", "UPDATE bulk SET version = version + 1;", "VACUUM bulk", bulk_rows, target={"ours": 1.10}),
        Bulk("copy", f"COPY of {bulk_rows // 2} rows", "COPY loaded FROM :'file';", "TRUNCATE loaded", bulk_rows // 2,
             target={"ours": 1.15}),
        Throughput("tpcb", "pgbench's TPC-B, 8 clients, triggers on all four tables", "tpcb-like", builtin=True, target={"ours": 0.93}),
        Throughput("many", "one-row UPDATE, 8 clients, 64 servers and 10 000 triggers in the database", UPDATE,
                   only=("none", "ours", "ours_many")),
        Throughput("hot", "one-row UPDATE of 10 hot rows, 8 clients", HOT),
        Latency("key_200", "COMMIT to key gone, 200 transactions/s", "key", target={"ours": 0.25}),
        Latency("self_200", "the application deletes behind its COMMIT, 200 transactions/s", "self", only=("none",)),
        Latency("notify_200", "COMMIT to message received, 200 transactions/s", "notify"),
        Latency("key_saturated", "COMMIT to key gone beside 8 busy clients", "key", CLIENTS, target={"ours": 0.8}),
        Latency("notify_saturated", "COMMIT to message received beside 8 busy clients", "notify", CLIENTS),
        Paired("paired", "one-row UPDATE, one client", 400, 50 if quick else 300),
        Outage("outage", f"{bulk_rows} keys owed, then the server is back"),
        Linear("linear", "one transaction with very many keys", (10_000, 100_000, 1_000_000) if quick else (100_000, 1_000_000, 10_000_000)),
    ]
    return [workload for workload in found if not quick or workload.name in QUICK]
