"""The steps, in the order in which they are shown."""

import json
import statistics
import time

from servers import DATABASE
from show import dim, milliseconds


def resource(name, record, action, **fields):
    return {"resource": name, "id": record, "action": action, **fields}


def task(record, action, project):
    return resource("task", record, action, project_id=project)


def one_row(world):
    world.show.step("One row is updated", "Its own key and the lists it stands in are stale. Nothing else is.")
    world.change(["UPDATE tasks SET title = 'write the manual' WHERE id = 7"],
                 ["task:7", "tasks:list:1", "sprint:board:1"], [task(7, "UPDATE", 1)])


def move(world):
    world.show.step("A task moves to another project",
                    "Both sides of the change count: the list it left and the list it came to.")
    world.change(["UPDATE tasks SET project_id = 2, sprint_id = 4 WHERE id = 10"],
                 ["task:10", "tasks:list:1", "tasks:list:2", "sprint:board:1", "sprint:board:4"],
                 [task(10, "UPDATE", 2)])


def insert(world):
    world.show.step("A task is inserted", "No key of its own was cached, but the lists that lack it are stale.")
    world.change(["INSERT INTO tasks (id, project_id, title) VALUES (1001, 2, 'a new one')"],
                 ["tasks:list:2"], [task(1001, "INSERT", 2)])


def record_shape(world):
    world.show.step("The other shape of messages",
                    "projects uses the shape \"record\", with the transaction as batch_id.")
    world.change(["UPDATE projects SET owner_id = 5 WHERE id = 4"],
                 ["project:4", "project:bundle:4", "projects:owned:4"],
                 [{"table": "projects", "operation": "UPDATE", "record_id": 4, "name": "project 4", "owner_id": 5}])


def composite(world):
    world.show.step("A composite key", "project_members has the primary key (project_id, user_id).")
    world.change(["UPDATE project_members SET role = 'lead' WHERE project_id = 2 AND user_id = 3"],
                 ["member:2:3", "members:list:2", "projects:of:3"],
                 [resource("member", "2:3", "UPDATE", project_id=2, user_id=3)])


def folded(world):
    world.show.step("Many changes, one transaction",
                    "Changes of one row fold into their net effect: 16 row changes, 12 messages.")
    world.change(["UPDATE tasks SET status = 'done' WHERE id BETWEEN 11 AND 20",
                  "UPDATE tasks SET title = title || '!' WHERE id BETWEEN 11 AND 12",
                  "INSERT INTO tasks (id, project_id, title) VALUES (1002, 1, 'draft')",
                  "UPDATE tasks SET title = 'final' WHERE id = 1002",
                  "UPDATE tasks SET status = 'done' WHERE id = 1",
                  "DELETE FROM tasks WHERE id = 1"],
                 ["task:1", *(f"task:{n}" for n in range(11, 21)), "tasks:list:1", "sprint:board:1", "sprint:board:2"],
                 [task(1, "DELETE", 1), task(1002, "INSERT", 1), *(task(n, "UPDATE", 1) for n in range(11, 21))])


def cascade(world):
    world.show.step("ON DELETE CASCADE",
                    "One DELETE takes the project's sprints, tasks and members along; so it does with their keys.")
    tasks = range(61, 91)
    world.change(["DELETE FROM projects WHERE id = 3"],
                 ["project:3", "project:bundle:3", "projects:owned:3", "tasks:list:3", "sprints:list:3",
                  "members:list:3", *(f"{kind}:{n}" for n in (5, 6) for kind in ("sprint", "sprint:board")),
                  *(f"task:{n}" for n in tasks), *(f"{kind}{n}" for n in (1, 2, 3) for kind in ("member:3:", "projects:of:"))],
                 [{"table": "projects", "operation": "DELETE", "record_id": 3, "name": "project 3", "owner_id": 3},
                  *(resource("sprint", n, "DELETE", project_id=3) for n in (5, 6)),
                  *(task(n, "DELETE", 3) for n in tasks),
                  *(resource("member", f"3:{n}", "DELETE", project_id=3, user_id=n) for n in (1, 2, 3))])


def nothing(world, title, why, *statements, rollback=True):
    """A step that must send nothing, proved by a change after it whose message comes first."""
    world.show.step(title, why)
    world.fill()
    world.show.sql(*statements, "ROLLBACK" if rollback else "COMMIT")
    with world.writer.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    if rollback:
        world.writer.rollback()
    else:
        world.writer.commit()
    before = world.sentinel()
    world.show.check(not before, "no message came before that of the next change (user 6)",
                     f"came: {[text for _, text in before][:3]}")
    world.check_rest()


def unwatched(world):
    nothing(world, "A column that nobody caches", "The rule of users says columns=name.",
            "UPDATE users SET last_seen = now()", rollback=False)


def rollback(world):
    nothing(world, "A transaction that rolls back", "What did not happen makes nothing stale.",
            "UPDATE tasks SET title = 'never' WHERE project_id = 2", "DELETE FROM projects WHERE id = 2")


def savepoint(world):
    world.show.step("Savepoints", "What a savepoint or an EXCEPTION block took back is not sent; the rest is.")
    world.change(["UPDATE tasks SET status = 'kept' WHERE id = 31",
                  "SAVEPOINT a", "DELETE FROM tasks WHERE id BETWEEN 32 AND 40", "ROLLBACK TO SAVEPOINT a",
                  """DO $$ BEGIN
                       UPDATE tasks SET status = 'lost' WHERE id = 41;
                       RAISE EXCEPTION 'no';
                     EXCEPTION WHEN raise_exception THEN
                       UPDATE tasks SET status = 'kept' WHERE id = 43;
                     END $$"""],
                 ["task:31", "task:43", "tasks:list:2", "sprint:board:3"],
                 [task(31, "UPDATE", 2), task(43, "UPDATE", 2)])


def signals_last(world, usual):
    world.show.step("Caches first, signals second: 100 changes one after the other",
                    "Whoever refetches on a message must not be served the old value by the cache.")
    world.fill()
    late, delays, commits = 0, [], []
    for number in range(100):
        key = f"task:{21 + number % 10}"
        world.cache.command("SET", key, "cached")
        since, commit = world.write(f"UPDATE tasks SET title = 'round {number}' WHERE id = {key[5:]}")
        received = world.listener.take(1)
        if not received:
            break
        late += len(world.cache.present([key]))
        delays.append(max(0.0, received[0][0] - since))
        commits.append(commit)
    world.show.check(len(delays) == 100, "100 messages came", f"only {len(delays)}")
    world.show.check(not late, "at each message its key was gone", f"{late} were not")
    vanished = {*(f"task:{n}" for n in range(21, 31)), "tasks:list:1", "sprint:board:1", "sprint:board:2"}
    world.model -= vanished
    world.touched |= vanished
    world.check_rest()
    if delays:
        delays.sort()
        world.show.line("time", f"COMMIT to message: median {milliseconds(statistics.median(delays))}, "
                                f"slowest {milliseconds(delays[-1])}; the COMMIT itself: "
                                f"median {milliseconds(statistics.median(commits))}")
        usual["commit"] = statistics.median(commits)


def redis_stops(world, usual):
    show = world.show
    show.step("Redis is stopped", "Commits go on, as fast as before. Listeners are told. The keys are owed.")
    world.fill(fresh_only=True)
    owed = {*(f"task:{n}" for n in range(91, 121)), "tasks:list:4", "sprint:board:7", "sprint:board:8"} & world.model
    show.check(world.cache.present(owed) == owed, f"the {len(owed)} keys of the coming changes are cached")
    world.cache.close()
    world.servers.stop_redis()
    show.line("redis", "SHUTDOWN SAVE: its data, stale-to-be, is on its disk")
    commits = [world.write(f"UPDATE tasks SET status = 'meanwhile' WHERE id = {n}")[1] for n in range(91, 121)]
    show.sql("UPDATE tasks SET status = 'meanwhile' WHERE id = 91   -- and so on to 120, one transaction each")
    median = statistics.median(commits)
    show.line("time", f"COMMIT: median {milliseconds(median)}, slowest {milliseconds(max(commits))} "
                      + dim(f"(with Redis: median {milliseconds(usual.get('commit', 0.0))})"))
    show.check(median < 2 * usual.get("commit", 0.0) + 0.005 and max(commits) < 1.0, "no COMMIT waited for Redis")
    received = world.listener.take(30)
    world.check_messages(received, [task(n, "UPDATE", 4) for n in range(91, 121)])
    show.items("targets", [json.dumps(row, default=str) for row in world.query("SELECT * FROM cache_invalidation_targets")])
    return owed


def redis_returns(world, owed):
    show = world.show
    show.step("Redis comes back", "It loads its old data, with what became stale meanwhile: that goes now.")
    world.servers.start_redis()
    world.cache = world.servers.redis()
    restarted = time.perf_counter()
    loaded = len(world.cache.all_keys())
    gone = world.watch(owed, restarted, seconds=60)
    world.model -= owed
    world.touched |= owed
    show.line("redis", f"answers again, with {loaded} keys loaded")
    show.check(set(gone) == owed, f"the {len(owed)} owed keys are gone"
               + (f", the last {milliseconds(max(gone.values()))} after Redis answered" if gone else ""),
               f"left: {sorted(owed - set(gone))[:8]}")
    again = world.sentinel()
    if again:
        show.line("note", f"{len(again)} messages were repeated: delivery is at least once")
    world.check_rest()


def normal_again(world):
    world.show.step("Business as usual", "The same path as in the beginning.")
    world.change(["UPDATE tasks SET title = 'after the storm' WHERE id = 51"],
                 ["task:51"], [task(51, "UPDATE", 2)], fresh_only=True)


def self_test(world):
    show = world.show
    show.step("The extension tests itself", "A marked message takes the whole way to every target.")
    show.sql("SELECT test_cache_invalidation('tasks')")
    result = world.value("SELECT test_cache_invalidation('tasks')")
    result = result if isinstance(result, dict) else json.loads(result)
    show.line("answer", json.dumps(result))
    show.check(result.get("success") is True, "it says success")
    show.sql("SELECT * FROM get_cache_trigger_health()")
    rows = world.query("SELECT * FROM get_cache_trigger_health()")
    for row in rows:
        show.line("", f"{str(row['table_name']):<18} {row['trigger_name']:<38} enabled: {row['is_enabled']}, "
                      f"recent errors: {row['recent_errors']}")
    show.check(len(rows) == 5 and all(row["is_enabled"] and not row["recent_errors"] for row in rows),
               "five triggers, all enabled, no errors")


def statistics_view(world):
    show = world.show
    show.step("What the server counted")
    for view in ("cache_invalidation_stats", "cache_invalidation_targets"):
        show.sql(f"SELECT * FROM {view}")
        rows = world.query(f"SELECT * FROM {view}")
        for row in rows:
            show.line("", ", ".join(f"{name}: {value}" for name, value in row.items()))
        show.check(bool(rows), f"{view} answers")


def all_steps(world):
    usual = {}
    self_test(world)
    world.fill()
    world.sentinel()
    world.show.step("The cache is filled")
    world.fill()
    world.show.line("redis", f"{len(world.model)} keys, of the users, projects, sprints, tasks and members in "
                             f"the database {DATABASE}; each step starts with all of them")
    world.show.check(world.cache.all_keys() == world.model, "they are all there")
    for step in (one_row, move, insert, record_shape, composite, folded, cascade, unwatched, rollback, savepoint):
        step(world)
    signals_last(world, usual)
    owed = redis_stops(world, usual)
    redis_returns(world, owed)
    normal_again(world)
    statistics_view(world)
