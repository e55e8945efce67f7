"""The servers of a benchmark: a PostgreSQL with a database for each variant, a Redis, and what a variant needs beside them."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time

# More rows than the workloads change at random: "latency" has its own behind them, and nobody but the sentinel touches row 0.
ITEMS = 100_000
SPARE_ITEMS = 1_000
SENTINEL = "item:0"

TABLES = f"""
CREATE TABLE item (id int PRIMARY KEY, version int NOT NULL, filler text) WITH (fillfactor = 50);
INSERT INTO item SELECT n, 0, repeat('x', 60) FROM generate_series(0, {ITEMS + SPARE_ITEMS}) n;
CREATE TABLE bulk (LIKE item INCLUDING ALL);
INSERT INTO bulk SELECT n, 0, repeat('x', 60) FROM generate_series(1, :bulk) n;
CREATE TABLE loaded (LIKE item INCLUDING ALL);
COPY (SELECT * FROM bulk ORDER BY id LIMIT :bulk / 2) TO :'file';
"""

# A Unix domain socket is there too: the path must be short.
WHERE = os.environ.get("BENCH_TMP", "/tmp")

SETTINGS = {
    "listen_addresses": "''",
    "shared_buffers": "'512MB'",
    "max_connections": "150",
    # There is one before each workload, and seldom another.
    "max_wal_size": "'16GB'",
    "checkpoint_timeout": "'1h'",
    "shared_preload_libraries": "'cache_invalidate'",
}


def wait_until(what, condition, seconds=120.0, pause=0.002):
    """Tries a condition until it holds; returns how long that took, in seconds."""
    start = time.perf_counter()
    while not condition():
        if time.perf_counter() - start > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(pause)
    return time.perf_counter() - start


@contextlib.contextmanager
def deadline(process, seconds=120.0):
    """Who has not answered by then is killed: what it prints ends."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Redis:
    """A private server on a socket, and one connection to it."""

    def __init__(self, folder, as_user):
        self.path = os.path.join(folder, "redis.sock")
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        self.process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", self.path, "--unixsocketperm", "777", "--save", "", "--dir", folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True, **as_user)
        self.program = shutil.which("redis-cli") or shutil.which("valkey-cli")
        try:
            wait_until("Redis", lambda: os.path.exists(self.path) and self.command("PING") == "PONG")
        except BaseException:
            self.process.kill()
            raise

    def command(self, *words):
        return subprocess.run([self.program, "-s", self.path, *words], text=True, stdout=subprocess.PIPE, check=False).stdout.strip()

    def fill(self, prefix, count):
        """Makes so many keys: the prefix and a number, from 1 on."""
        self.command("EVAL", "for n = 1, tonumber(ARGV[1]) do redis.call('SET', KEYS[1] .. n, 'x') end", "1", prefix, str(count))

    @contextlib.contextmanager
    def hanging(self):
        """It answers nobody."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def commands_processed(self):
        """UNLINK, DEL and PUBLISH so far."""
        lines = [line for line in self.command("INFO", "commandstats").splitlines()
                 if line.startswith(("cmdstat_unlink:", "cmdstat_del:", "cmdstat_publish:"))]
        return sum(int(line.split("calls=")[1].split(",")[0]) for line in lines)


class Cluster:
    """`settings`: what the configuration has beside SETTINGS."""

    def __init__(self, bindir, user, programs, bulk_rows, **settings):
        self.bindir, self.programs, self.bulk_rows = bindir, programs, bulk_rows
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
        self.folder = tempfile.mkdtemp(prefix="cache_invalidate_bench.", dir=WHERE)
        self.data = os.path.join(self.folder, "data")
        self.as_user = {"cwd": self.folder, "env": {**os.environ, "LC_ALL": "C"}}
        account = pwd.getpwnam(user)
        if account.pw_uid != os.geteuid():
            self.as_user.update(user=user, group=account.pw_gid, extra_groups=[])
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        os.chmod(self.folder, 0o755)
        self.floor = os.path.join(self.folder, "floor")
        shutil.copy(os.path.join(programs, "floor.so"), self.floor + ".so")
        os.chmod(self.floor + ".so", 0o755)
        self.redis = None
        self.process = None
        self.conninfo = f"host={self.folder} user=postgres"
        try:
            self.start({**SETTINGS, "unix_socket_directories": f"'{self.folder}'", **settings})
        except BaseException:
            self.stop(keep_log=True)
            raise

    def program(self, name):
        return os.path.join(self.bindir, name)

    def start(self, settings):
        subprocess.run([self.program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
                       stdout=subprocess.DEVNULL, check=True, **self.as_user)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.redis = Redis(self.folder, self.as_user)
        with open(os.path.join(self.folder, "postgresql.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([self.program("postgres"), "-D", self.data], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True, **self.as_user)
        wait_until("PostgreSQL", self.answers)
        self.psql("postgres", "CREATE DATABASE prepared")
        self.psql("prepared", TABLES, bulk=self.bulk_rows, file=os.path.join(self.folder, "rows"))
        self.run("pgbench", "-i", "-q", "-s", "10", "prepared")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"PostgreSQL does not start: see {self.folder}/postgresql.log")
        return subprocess.run([self.program("pg_isready"), "-q", "-h", self.folder], check=False).returncode == 0

    def run(self, name, *words, options=""):
        """A client program of the server; returns what it prints."""
        environment = {**os.environ, "LC_ALL": "C", "PGHOST": self.folder, "PGUSER": "postgres", "PGOPTIONS": options}
        done = subprocess.run([self.program(name), *words], text=True, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{name} {' '.join(words)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def psql(self, database, sql, options="", **variables):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(sql)
            file.flush()
            return self.psql_file(database, file.name, options, **variables)

    def psql_file(self, database, path, options="", **variables):
        settings = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
        return self.run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", *settings, "-d", database, "-f", path, options=options).strip()

    def worker(self, database):
        """The process id of the database's worker, or None."""
        pid = self.psql("postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker' "
                        f"AND datname = '{database}'")
        return int(pid) if pid else None

    def wal_position(self):
        return int(self.psql("postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'"))

    def stop(self, keep_log=False):
        for process, number in ((self.process, signal.SIGINT), (self.redis and self.redis.process, signal.SIGTERM)):
            if process and process.poll() is None:
                process.send_signal(number)
                try:
                    process.wait(timeout=120)
                except subprocess.TimeoutExpired:
                    process.kill()
        shutil.rmtree(self.data if keep_log else self.folder, ignore_errors=True)


class Consumer:
    """What reads the changes of a variant; it runs as long as the `with`."""

    def __init__(self, cluster, mode, database):
        self.cluster, self.mode, self.database = cluster, mode, database
        self.process = None
        self.received = None  # known when it has ended

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            if self.process:
                self.process.kill()
                self.process.wait()
            raise
        return self

    def start(self):
        if self.mode:
            self.process = subprocess.Popen(
                [os.path.join(self.cluster.programs, "consumer"), self.mode, f"{self.cluster.conninfo} dbname={self.database}",
                 self.cluster.redis.path], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            if self.line() != "ready\n":
                raise RuntimeError(f"the consumer of {self.database} does not start")
        # What a slot holds of other variants' slices is not this one's work.
        if self.mode == "wal2json":
            drain(self.cluster, self)

    def line(self):
        with deadline(self.process):
            return self.process.stdout.readline()

    def __exit__(self, *error):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            with deadline(self.process):
                words = self.process.stdout.read().split()
                status = self.process.wait()
            if status != 0 and not error[0]:
                raise RuntimeError(f"the consumer of {self.database} failed")
            self.received = int(words[-3]) if len(words) > 3 else None

    def hear(self):
        """Waits until who only listens has heard of the sentinel, and so of all before it."""
        if self.mode == "listen" and self.line() != "heard\n":
            raise RuntimeError(f"the listener of {self.database} ended")


def drain(cluster, consumer, deletes=True):
    """Waits until all that was committed is deleted, and heard of; returns how long that took, in seconds. Where nobody deletes, the
    machine has the same to do for it, once."""
    redis = cluster.redis
    redis.command("SET", SENTINEL, "x")
    begin = time.perf_counter()
    cluster.psql(consumer.database, "UPDATE item SET version = version + 1 WHERE id = 0")
    wait_until(f"the end of what {consumer.database} owes", lambda: redis.command("EXISTS", SENTINEL) == "0" or not deletes, 600)
    consumer.hear()
    return time.perf_counter() - begin
