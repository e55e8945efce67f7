"""A guided tour of cache_invalidate on a private PostgreSQL and a private Redis: run it by "make demo".
The exit status is 0 only if every step was seen to be right. Nothing is left behind, unless KEEP=1."""

import argparse
import os
import signal
import sys
import traceback

from servers import DATABASE, Servers, wait_until
from show import Show, bold, milliseconds
from steps import all_steps
from world import World

FOLDER = os.path.dirname(os.path.abspath(__file__))


def start_servers(show, servers):
    show.step("A private PostgreSQL and a private Redis")
    servers.start_postgres()
    servers.start_redis()
    show.line("folder", f"{servers.folder}, only for user {servers.user}")
    connection = servers.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute("SELECT split_part(current_setting('server_version'), ' ', 1), "
                       "current_setting('shared_preload_libraries')")
        version, preloaded = cursor.fetchone()
        show.line("postgres", f"{version}, on a socket in that folder, with shared_preload_libraries = '{preloaded}'")
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    connection.close()
    client = servers.redis()
    info = dict(line.split(":", 1) for line in client.command("INFO", "server").splitlines() if ":" in line)
    client.close()
    show.line("redis", f"{info['redis_version']}, on port {servers.redis_port} of the loopback, with a password")
    show.check("cache_invalidate" in preloaded, "both answer, and the extension's library is loaded")


def install(show, servers):
    connection = servers.connect()
    cursor = connection.cursor()

    show.step("The extension is created", f"A worker for the database {DATABASE} starts by itself; no restart.")
    show.sql("CREATE EXTENSION cache_invalidate")
    cursor.execute("CREATE EXTENSION cache_invalidate")

    def worker_runs():
        cursor.execute("SELECT worker_pid IS NOT NULL FROM cache_invalidation_stats")
        return cursor.fetchone()[0]

    took = wait_until("the worker of the database", worker_runs, 15)  # without it there is nothing to show
    show.check(took < 2, f"its worker runs, {milliseconds(took)} later")

    show.step("The cache and the rules",
              "A server says where the cache is. The arguments of a trigger say which keys a changed row makes stale.")
    address = f"redis://127.0.0.1:{servers.redis_port}/0"
    show.sql(f"CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '{address}')",
             "CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password '...')")
    cursor.execute("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url %s)", (address,))
    cursor.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password %s)",
                   (servers.redis_password,))
    with open(os.path.join(FOLDER, "schema.sql"), encoding="utf-8") as file:
        schema = file.read()
    cursor.execute(schema)
    trigger = schema[schema.find("CREATE TRIGGER cache_invalidation_tasks"):]
    show.sql(trigger[:trigger.find(";")])
    show.line("", "and so on for users, projects, sprints and project_members: demo/schema.sql")
    cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cache_invalidation%'")
    show.check(cursor.fetchone()[0] == 5, "each of the five tables has its trigger")
    connection.close()


def tour(show, servers):
    start_servers(show, servers)
    install(show, servers)
    world = World(show, servers)
    try:
        all_steps(world)
    finally:
        world.close()


def ending(show, servers):
    problems = servers.stop()  # first of all: showing it may fail
    show.step("The end")
    show.check(not problems, "both servers have ended, and the folder is gone", "; ".join(problems))


def run(show, servers, keep):
    """The tour and its end. Whatever happens, the servers are stopped, unless they are to be kept."""
    kept = False
    try:
        try:
            tour(show, servers)
        except Exception as error:  # whatever it is, it is shown
            traceback.print_exc()
            show.check(False, "the demo ran to its end", f"{type(error).__name__}: {error}")
            print(servers.log_tails())
        if keep:
            good = show.summary()
            print(f"\n{bold('The servers are still running. To look around, and to stop them:')}")
            for label, command in servers.how_to_use():
                show.line(label, command)
            kept = True
            return good
    except KeyboardInterrupt:
        show.check(False, "the demo was not interrupted")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the end itself is not interrupted
        if not kept:
            ending(show, servers)
    return show.summary()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bindir", required=True, help="where initdb and postgres are")
    parser.add_argument("--user", required=True, help="who runs the servers")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))

    print(f"\n{bold('cache_invalidate: a committed change deletes the right keys')}")
    keep = os.environ.get("KEEP", "") not in ("", "0")
    return 0 if run(Show(), Servers(arguments.bindir, arguments.user), keep) else 1


if __name__ == "__main__":
    sys.exit(main())
