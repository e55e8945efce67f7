"""A guided tour of cache_invalidate on a private PostgreSQL and a private Redis: run it by "make demo".
The exit status is 0 only if every step was seen to be right. Nothing is left behind, unless KEEP=1."""

import argparse
import os
import signal
import sys
import time
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
        cursor.execute("SHOW server_version")
        show.line("postgres", f"{cursor.fetchone()[0]}, on a socket in that folder; "
                              "shared_preload_libraries = 'cache_invalidate'")
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    connection.close()
    client = servers.redis()
    version = next(line for line in client.command("INFO", "server").splitlines() if "redis_version:" in line)
    client.close()
    show.line("redis", f"{version.split(':')[1]}, port {servers.redis_port} on the loopback, with a password")
    show.check(True, "both answer")


def install(show, servers):
    connection = servers.connect()
    cursor = connection.cursor()

    show.step("CREATE EXTENSION", "A worker for this database starts by itself; no restart.")
    show.sql("CREATE EXTENSION cache_invalidate")
    cursor.execute("CREATE EXTENSION cache_invalidate")

    def worker_runs():
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND backend_type ILIKE '%cache%invalidat%'")
        return cursor.fetchone()[0] > 0

    try:
        took = wait_until("the worker", worker_runs, 10)
        show.check(took < 2, f"its worker runs, {milliseconds(took)} later")
    except TimeoutError:
        show.check(False, "its worker runs")

    show.step("The cache, the tables, the triggers")
    address = f"redis://127.0.0.1:{servers.redis_port}/0"
    show.sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate", f"  OPTIONS (url '{address}')",
             "CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password '...')")
    cursor.execute("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url %s)", (address,))
    cursor.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password %s)",
                   (servers.redis_password,))
    with open(os.path.join(FOLDER, "schema.sql"), encoding="utf-8") as file:
        schema = file.read()
    cursor.execute(schema)
    trigger = schema[schema.index("CREATE TRIGGER cache_invalidation_tasks"):]
    show.sql(trigger[:trigger.index(";")])
    show.line("", "... and the other tables: demo/schema.sql")
    cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cache_invalidation%'")
    show.check(cursor.fetchone()[0] == 5, "five tables have a trigger")
    connection.close()


def tour(show, servers):
    start_servers(show, servers)
    install(show, servers)
    world = World(show, servers)
    try:
        all_steps(world)
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bindir", required=True, help="where initdb and pg_ctl are")
    parser.add_argument("--user", required=True, help="who runs the servers")
    arguments = parser.parse_args()
    keep = os.environ.get("KEEP", "") not in ("", "0")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))

    start = time.perf_counter()
    print(f"\n{bold('cache_invalidate: a committed change deletes the right keys')}")
    show = Show()
    servers = Servers(arguments.bindir, arguments.user)
    interrupted = False
    try:
        tour(show, servers)
    except KeyboardInterrupt:
        interrupted = True
        show.check(False, "the demo was not interrupted")
    except SystemExit:
        interrupted = True
        raise
    except Exception as error:  # whatever it is, it is shown, and the servers are stopped
        traceback.print_exc()
        show.check(False, "the demo ran to its end", f"{type(error).__name__}: {error}")
        print(servers.log_tail())
    finally:
        if not keep or interrupted:
            servers.stop()
    good = show.summary()
    print(f"   {time.perf_counter() - start:.0f} seconds")
    if keep and not interrupted:
        print(f"\n{bold('The servers are still running')}")
        for label, command in servers.how_to_use():
            print(f"   {label:<10} {command}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
