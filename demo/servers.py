"""A private PostgreSQL and a private Redis in a temporary folder that nobody else can enter."""

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2

from resp import Redis, RedisError

DATABASE = "tracker"
# Short, so that a socket's path fits, and a place that the servers' user can enter.
PARENT = "/tmp"


def wait_until(what, condition, seconds=60.0):
    """Tries a condition until it holds; returns how long that took."""
    start = time.perf_counter()
    while True:
        if condition():
            return time.perf_counter() - start
        if time.perf_counter() - start > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.005)


def free_port():
    """Not one of those that the system gives to outgoing connections: it must stay free while Redis is away."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def processes_in(folder):
    """The processes whose working directory is in the folder."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if (os.readlink(f"/proc/{name}/cwd") + "/").startswith(folder + "/"):
                found.append(int(name))
        except OSError:  # it has ended, or it is not ours
            pass
    return found


class Servers:
    def __init__(self, bindir, user):
        self.bindir, self.user = bindir, user
        self.postgres_process = self.redis_process = None
        self.redis_port = None
        self.redis_password = secrets.token_hex(12)
        self.redis_program = shutil.which("redis-server") or shutil.which("valkey-server")
        self.redis_cli = shutil.which("redis-cli") or shutil.which("valkey-cli")
        # what the caller set for his own clients, or in his locale, is not for these servers
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
        self.folder = tempfile.mkdtemp(prefix="cache_invalidate_demo.", dir=PARENT)
        self.data = os.path.join(self.folder, "data")
        self.postgres_log = os.path.join(self.folder, "postgresql.log")
        self.redis_conf = os.path.join(self.folder, "redis.conf")
        self.redis_log = os.path.join(self.folder, "redis.log")
        self.as_user = {"cwd": self.folder, "env": {**os.environ, "LC_ALL": "C"}}
        account = pwd.getpwnam(user)
        if account.pw_uid != os.geteuid():
            self.as_user.update(user=user, group=account.pw_gid, extra_groups=[])
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    def write(self, path, mode, lines):
        with open(path, mode, encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            if "user" in self.as_user:
                os.fchown(file.fileno(), pwd.getpwnam(self.user).pw_uid, self.as_user["group"])
            file.writelines(f"{line}\n" for line in lines)

    def launch(self, command, log):
        """Starts a server as a child of ours, in a session of its own: Ctrl-C is for us."""
        self.write(log, "a", [])
        with open(log, "a", encoding="utf-8") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    start_new_session=True, **self.as_user)

    def wait_for_start(self, what, process, answers):
        def answers_or_ended():
            if process.poll() is not None:
                raise RuntimeError(f"{what} ended with status {process.returncode} instead of starting")
            return answers()
        wait_until(f"{what} to answer", answers_or_ended)

    # PostgreSQL

    def start_postgres(self):
        initdb = subprocess.run(
            [os.path.join(self.bindir, "initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
             "--locale=C"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False, **self.as_user)
        if initdb.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{initdb.stdout}")
        self.write(os.path.join(self.data, "postgresql.conf"), "a", [
            "shared_preload_libraries = 'cache_invalidate'",
            "listen_addresses = ''",
            f"unix_socket_directories = '{self.folder}'",
            "port = 5432",
        ])
        self.postgres_process = self.launch([os.path.join(self.bindir, "postgres"), "-D", self.data],
                                            self.postgres_log)
        self.wait_for_start("PostgreSQL", self.postgres_process, self.postgres_answers)

    def postgres_answers(self):
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:  # no socket yet, or still starting
            return False

    def connect(self, database=DATABASE, autocommit=True):
        connection = psycopg2.connect(host=self.folder, port=5432, user="postgres", dbname=database)
        connection.autocommit = autocommit
        return connection

    # Redis

    def start_redis(self):
        """The first time on some free port, later on the same one."""
        for attempts_left in (2, 1, 0):
            port = self.redis_port or free_port()
            if not self.redis_port:
                self.write(self.redis_conf, "w", [
                    "bind 127.0.0.1", f"port {port}", f"requirepass {self.redis_password}",
                    f"dir {self.folder}", f"logfile {self.redis_log}", 'save ""'])
            self.redis_process = self.launch([self.redis_program, self.redis_conf], self.redis_log)
            try:
                self.wait_for_start("Redis", self.redis_process, lambda: self.redis_answers(port))
                break
            except RuntimeError:  # somebody else was quicker on that port
                if self.redis_port or not attempts_left:
                    raise
        self.redis_port = port

    def redis(self, port=None):
        return Redis(port or self.redis_port, self.redis_password)

    def redis_answers(self, port):
        try:
            client = self.redis(port)
            client.command("PING")
            client.close()
            return True
        except (OSError, RedisError):  # refused, or still loading
            return False

    def stop_redis(self):
        """Stops it the way an operator does: it writes its data down, and has it when it is started again."""
        try:
            self.redis().command("SHUTDOWN", "SAVE")
        except ConnectionError:
            pass  # that is its answer
        self.redis_process.wait(timeout=60)

    # The end

    def log_tails(self, lines=25):
        text = ""
        for path in (self.postgres_log, self.redis_log):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += "".join([f"\nthe end of {os.path.basename(path)}:\n", *file.readlines()[-lines:]])
        return text

    def stop(self):
        """Stops both and removes the folder; returns what did not go as it should."""
        problems = []
        for name, process, signals in (
                ("Redis", self.redis_process, (signal.SIGTERM, signal.SIGKILL)),
                ("PostgreSQL", self.postgres_process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))):
            for number in signals:
                if process is None or process.poll() is not None:
                    break
                process.send_signal(number)
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    problems.append(f"{name} did not end within 30 s of {number.name}")
        try:
            wait_until("processes to end", lambda: not processes_in(self.folder), 10)
        except TimeoutError:
            problems.append(f"processes are still in its folder: {processes_in(self.folder)}")
        shutil.rmtree(self.folder, ignore_errors=True)
        if os.path.exists(self.folder):
            problems.append(f"{self.folder} could not be removed")
        return problems

    def how_to_use(self):
        pids = " ".join(str(p.pid) for p in (self.redis_process, self.postgres_process) if p and p.poll() is None)
        return [
            ("psql", f"{self.bindir}/psql -h {self.folder} -U postgres {DATABASE}"),
            ("redis", f"REDISCLI_AUTH={self.redis_password} {self.redis_cli} -p {self.redis_port}"),
            # SIGINT is PostgreSQL's fast shutdown, and Redis' orderly one
            ("stop", f"kill -INT {pids}; while [ -e {self.data}/postmaster.pid ]; do sleep 0.1; done; "
                     f"rm -rf {self.folder}"),
        ]
