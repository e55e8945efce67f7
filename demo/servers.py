"""A private PostgreSQL and a private Redis in a temporary folder that nobody else can enter."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

import psycopg2

from resp import Redis, RedisError

DATABASE = "tracker"


def wait_until(what, condition, seconds=30.0):
    """Tries a condition until it holds; returns how long that took."""
    start = time.perf_counter()
    while True:
        if condition():
            return time.perf_counter() - start
        if time.perf_counter() - start > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.005)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    def __init__(self, bindir, user):
        self.bindir, self.user = bindir, user
        self.folder = tempfile.mkdtemp(prefix="cache_invalidate_demo.")
        self.data = os.path.join(self.folder, "data")
        self.redis_conf = os.path.join(self.folder, "redis.conf")
        self.redis_port = free_port()
        self.redis_password = secrets.token_hex(12)
        self.redis_process = None
        self.redis_program = shutil.which("redis-server") or shutil.which("valkey-server")
        self.as_user = {"cwd": self.folder}
        if pwd.getpwnam(user).pw_uid != os.geteuid():
            self.as_user.update(user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[])
            os.chown(self.folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

    def run(self, program, *arguments):
        result = subprocess.run([os.path.join(self.bindir, program), *arguments], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False, **self.as_user)
        if result.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{result.stdout}{self.log_tail()}")

    def write(self, path, mode, lines):
        with open(path, mode, encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            if "user" in self.as_user:
                account = pwd.getpwnam(self.user)
                os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
            file.write("\n".join(lines) + "\n")

    # PostgreSQL

    def start_postgres(self):
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.write(os.path.join(self.data, "postgresql.conf"), "a", [
            "shared_preload_libraries = 'cache_invalidate'",
            "listen_addresses = ''",
            f"unix_socket_directories = '{self.folder}'",
            "port = 5432",
        ])
        # the log goes to a file: a server that kept our pipe open would keep us waiting
        self.run("pg_ctl", "-D", self.data, "-l", os.path.join(self.folder, "postgresql.log"),
                 "-w", "-t", "60", "start")

    def connect(self, database=DATABASE, autocommit=True):
        connection = psycopg2.connect(host=self.folder, port=5432, user="postgres", dbname=database)
        connection.autocommit = autocommit
        return connection

    def log_tail(self, lines=25):
        path = os.path.join(self.folder, "postgresql.log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(["\nthe end of the server's log:\n", *file.readlines()[-lines:]])

    # Redis

    def start_redis(self):
        if not os.path.exists(self.redis_conf):
            self.write(self.redis_conf, "w", [
                "bind 127.0.0.1", f"port {self.redis_port}", f"requirepass {self.redis_password}",
                f"dir {self.folder}", f"logfile {self.folder}/redis.log", 'save ""'])
        self.redis_process = subprocess.Popen(
            [self.redis_program, self.redis_conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, **self.as_user)
        wait_until("Redis to answer", self.redis_answers)

    def redis(self):
        return Redis(self.redis_port, self.redis_password)

    def redis_answers(self):
        try:
            client = self.redis()
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
        self.redis_process.wait(timeout=30)

    # The end

    def stop(self):
        if self.redis_process and self.redis_process.poll() is None:
            self.redis_process.terminate()
            try:
                self.redis_process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.redis_process.kill()
        if os.path.exists(os.path.join(self.data, "postmaster.pid")):
            try:
                self.run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", "30", "stop")
            except RuntimeError:
                self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-t", "30", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def how_to_use(self):
        switch = f"runuser -u {self.user} -- " if "user" in self.as_user else ""
        return [
            ("psql", f"{self.bindir}/psql -h {self.folder} -U postgres {DATABASE}"),
            ("redis-cli", f"redis-cli -p {self.redis_port} -a {self.redis_password} --no-auth-warning"),
            ("stop them", f"kill {self.redis_process.pid}; cd / && {switch}{self.bindir}/pg_ctl -D {self.data} "
                          f"-m fast stop; rm -rf {self.folder}"),
        ]
