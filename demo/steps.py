"""The steps, in the order in which they are shown."""

import json
import statistics
import time

from servers import wait_until
from show import milliseconds


def resource(name, record, action, **fields):
    return {"resource": name, "id": str(record), "action": action, **fields}


def task(record, action, project):
    return resource("task", record, action, project_id=project)


def project(record, operation, owner):
    return {"table": "projects", "operation": operation, "record_id": str(record),
            "name": f"project {record}", "owner_id": owner}


def self_test(world):
    show = world.show
    show.step("The extension tests itself", "A marked message takes the whole way: to each cache, and to NOTIFY.")
    show.sql("SELECT test_cache_invalidation('tasks')")
    answer = world.value("SELECT test_cache_invalidation('tasks')")
    targets = answer.pop("targets")
    show.line("answer", json.dumps(answer))
    show.table(targets)
    show.check(answer["success"] and {t["target"] for t in targets if t["success"]} == {"cache", "NOTIFY"},
               "it says success, for the cache and for NOTIFY")
    show.sql("SELECT table_name, trigger_name, is_enabled, recent_errors FROM get_cache_trigger_health()")
    rows = world.query("SELECT table_name, trigger_name, is_enabled, recent_errors FROM get_cache_trigger_health()")
    show.table(rows)
    show.check(len(rows) == 5 and all(row["is_enabled"] and not row["recent_errors"] for row in rows),
               "five triggers, all enabled, no errors")


def cache_is_filled(world):
    show = world.show
    show.step("The cache is filled, and a session listens",
              "As an application would have it: a key for each user, project, sprint, task and member, and for lists "
              "of them. Each of the following steps starts with a full cache.")
    show.sql("LISTEN cache_invalidation")
    world.fill()
    earlier = world.sentinel()
    show.check(len(earlier) == 1 and json.loads(earlier[0]).get("operation") == "TEST",
               "until now it received the message of the test, and nothing else", f"it received {earlier}")
    world.fill()
    show.line("redis", f"{len(world.model)} keys, among them {', '.join(sorted(world.model)[::25])}")
    world.check_rest("they are all there")


def one_row(world):
    world.show.step("One row is updated",
                    "Its own key and the lists it stands in are stale; nothing else is. Before each key that went and "
                    "each message that came stands how long after COMMIT had returned the demo saw it.")
    world.change(["UPDATE tasks SET title = 'write the manual' WHERE id = 7"],
                 ["task:7", "tasks:list:1", "sprint:board:1"], [task(7, "UPDATE", 1)])


def move(world):
    world.show.step("A task moves to another project",
                    "Both sides of the change count: the lists it left and the lists it came to.")
    world.change(["UPDATE tasks SET project_id = 2, sprint_id = 4 WHERE id = 10"],
                 ["task:10", "tasks:list:1", "tasks:list:2", "sprint:board:1", "sprint:board:4"],
                 [task(10, "UPDATE", 2)])


def insert(world):
    world.show.step("A task is inserted", "No key of its own was cached, but the list that lacks it is stale.")
    world.change(["INSERT INTO tasks (id, project_id, title) VALUES (1001, 2, 'a new one')"],
                 ["tasks:list:2"], [task(1001, "INSERT", 2)])


def record_shape(world):
    world.show.step("The other shape of messages",
                    "The trigger on projects does not say format=resource: its messages have the default shape, "
                    "\"record\", with the transaction as batch_id.")
    world.change(["UPDATE projects SET owner_id = 5 WHERE id = 4"],
                 ["project:4", "project:bundle:4", "projects:owned:4"], [project(4, "UPDATE", 5)])


def composite(world):
    world.show.step("A primary key of two columns", "That of project_members is (project_id, user_id).")
    world.change(["UPDATE project_members SET role = 'lead' WHERE project_id = 2 AND user_id = 3"],
                 ["member:2:3", "members:list:2", "projects:of:3"],
                 [resource("member", "2:3", "UPDATE", project_id=2, user_id=3)])


def folded(world):
    world.show.step("Many changes, one transaction",
                    "The changes of one row fold into their net effect: 16 changes of 12 rows, 12 messages.")
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
                    "One DELETE takes the project's 2 sprints, 30 tasks and 3 members along, and so their keys.")
    tasks, sprints, members = range(61, 91), (5, 6), (1, 2, 3)
    world.change(["DELETE FROM projects WHERE id = 3"],
                 ["project:3", "project:bundle:3", "projects:owned:3",
                  "tasks:list:3", "sprints:list:3", "members:list:3",
                  *(f"{kind}:{n}" for n in sprints for kind in ("sprint", "sprint:board")),
                  *(f"task:{n}" for n in tasks),
                  *(f"{kind}:{n}" for n in members for kind in ("member:3", "projects:of"))],
                 [project(3, "DELETE", 3),
                  *(resource("sprint", n, "DELETE", project_id=3) for n in sprints),
                  *(task(n, "DELETE", 3) for n in tasks),
                  *(resource("member", f"3:{n}", "DELETE", project_id=3, user_id=n) for n in members)])


def nothing(world, statements, end):
    """Runs a transaction that must send nothing. The proof is a change after it, the message of which comes first."""
    world.fill()
    world.show.sql(*(statements if end == "COMMIT" else ("BEGIN", *statements, end)))
    world.execute(statements)
    if end == "COMMIT":
        world.writer.commit()
    else:
        world.writer.rollback()
    before = world.sentinel()
    world.show.check(not before, "the next message to come was that of a later change", f"before it came {before[:3]}")
    world.check_rest("all keys are still cached but the one of that later change")


def unwatched(world):
    world.show.step("A column that nobody caches changes", "The trigger on users says columns=name.")
    nothing(world, ["UPDATE users SET last_seen = now()"], "COMMIT")


def rollback(world):
    world.show.step("A transaction rolls back", "What did not happen makes nothing stale.")
    nothing(world, ["UPDATE tasks SET title = 'never' WHERE project_id = 2", "DELETE FROM projects WHERE id = 2"],
            "ROLLBACK")


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


def signals_last(world):
    """Returns the usual time of a COMMIT."""
    show = world.show
    show.step("Caches first, signals second: 100 changes, one after the other",
              "Whoever reads again when a message comes must not be served the old value by the cache.")
    world.fill()
    show.sql("UPDATE tasks SET title = 'round 0' WHERE id = 21")
    show.line("", "and so on, each in a transaction of its own")
    late, delays, commits = 0, [], []
    for number in range(100):
        key = f"task:{21 + number % 10}"
        world.cache.command("SET", key, "cached")
        since, commit = world.write(f"UPDATE tasks SET title = 'round {number}' WHERE id = {key[5:]}")
        commits.append(commit)
        received = world.listener.take(1)
        if not received:
            break
        late += len(world.cache.present([key]))
        delays.append(max(0.0, received[0][0] - since))
    show.line("time", f"COMMIT took {milliseconds(statistics.median(commits))} (median)")
    if delays:
        show.line("", f"from then to the message {milliseconds(statistics.median(delays))} (median), "
                      f"{milliseconds(max(delays))} (slowest)")
    show.check(len(delays) == 100, "100 messages came", f"only {len(delays)}")
    show.check(not late, "when each came, the key was gone", f"{late} were not")
    vanished = {*(f"task:{n}" for n in range(21, 31)), "tasks:list:1", "sprint:board:1", "sprint:board:2"}
    world.model -= vanished
    world.touched |= vanished
    world.check_rest()
    return statistics.median(commits)


TARGETS = "SELECT server, state, problem, keys_pending FROM cache_invalidation_targets"


def target_becomes(world, state, pending):
    """Waits until the cache is in that state; shows the row."""
    def reached():
        row = world.query(TARGETS)[0]
        return row["state"] == state and row["keys_pending"] == pending
    world.show.sql(TARGETS)
    try:
        wait_until("the target's state", reached, 15)
    except TimeoutError:
        pass  # then the check says it
    world.show.table(world.query(TARGETS))
    world.show.check(reached(), f"the server says: {state}, {pending} keys pending")


HEALTH = "SELECT status, targets, lag_batches, lag_seconds > 0 AS is_behind, problems FROM get_cache_invalidation_health()"


def health_says(world, status, problem):
    """Shows what the health function says, as soon as that is its status."""
    try:
        wait_until("the health", lambda: world.query(HEALTH)[0]["status"] == status, 15)
    except TimeoutError:
        pass  # then the check says it
    world.show.sql(HEALTH)
    row = world.query(HEALTH)[0]
    for name, value in row.items():
        world.show.line(name, value if isinstance(value, str) else json.dumps(value))
    world.show.check(row["status"] == status and all(problem in line for line in row["problems"]) and
                     bool(row["problems"]) == bool(problem),
                     f"health is {status}" + (", and says what helps" if problem else ", with no problem"))


def redis_stops(world, usual):
    """Returns the keys that are owed to it."""
    show = world.show
    show.step("Redis is stopped", "Commits go on, as fast as before, and listeners are told. The deletes are owed.")
    # keys of rows that were new then: nobody had cached them, they were deleted all the same
    world.touched |= {"task:1001", "task:1002", "projects:owned:5"}
    world.fill(fresh_only=True)
    owed = {*(f"task:{n}" for n in range(91, 121)), "tasks:list:4", "sprint:board:7", "sprint:board:8"}
    show.line("redis", f"is filled with {len(world.model)} keys, those that no step has made stale until now: "
                       "a Redis")
    show.line("", "that was restarted is told the last minute's deletes again. Then: SHUTDOWN SAVE")
    show.check(world.cache.present(owed) == owed, f"the {len(owed)} keys that will become stale are cached, and saved")
    world.cache.close()
    world.servers.stop_redis()
    show.sql("UPDATE tasks SET status = 'meanwhile' WHERE id = 91")
    show.line("", "and so on to 120, each in a transaction of its own")
    commits = [world.write(f"UPDATE tasks SET status = 'meanwhile' WHERE id = {n}")[1] for n in range(91, 121)]
    median = statistics.median(commits)
    show.line("time", f"COMMIT took {milliseconds(median)} (median); with Redis it was {milliseconds(usual)}")
    show.check(median < 3 * usual + 0.02 and max(commits) < 5, "no COMMIT waited for Redis",
               f"the slowest took {milliseconds(max(commits))}")
    world.check_messages(world.listener.take(30), [task(n, "UPDATE", 4) for n in range(91, 121)])
    target_becomes(world, "down", len(owed))
    health_says(world, "down", "Start the server")
    return owed


def redis_returns(world, owed):
    show = world.show
    show.step("Redis comes back",
              "It loads what it had saved, and so what became stale meanwhile. The worker, which tries again after "
              "1 s, 2 s, 4 s and so on, deletes it, and then sends the messages again: who refetched on the first ones "
              "may have been served old values by this cache.")
    world.servers.start_redis()
    restarted = time.perf_counter()
    world.cache = world.servers.redis()
    loaded = len(world.cache.all_keys())
    gone = world.watch(owed, restarted, seconds=60)
    world.model -= owed
    world.touched |= owed
    show.line("redis", f"answers again, with {loaded} keys")
    show.timed("gone", [(t, key) for key, t in sorted(gone.items(), key=lambda item: (item[1], item[0]))])
    show.check(set(gone) == owed, f"the {len(owed)} owed keys are gone", f"left: {sorted(owed - set(gone))[:8]}")
    world.check_rest()
    again, last = world.listener.take_until(lambda m: m.get("id") == "120")
    show.check(last, "the messages come again, behind the deletes", "no second message of task 120")
    show.line("note", f"{len(again) + 1} messages came a second time, those of the last minute")
    world.sentinel()
    target_becomes(world, "up", 0)
    health_says(world, "ok", "")


def normal_again(world):
    world.show.step("Business as usual", "The same way as in the beginning.")
    world.change(["UPDATE tasks SET title = 'after the storm' WHERE id = 51"],
                 ["task:51"], [task(51, "UPDATE", 2)], fresh_only=True)
    late = world.sentinel()
    world.show.check(not late, "nothing was left unsaid", f"late: {late[:3]}")


def statistics_view(world):
    show = world.show
    show.step("What the server counted", "A batch is what one transaction made stale.")
    sql = "SELECT worker_starts, batches, keys, messages, notifications, errors FROM cache_invalidation_stats"
    show.sql(sql)
    # A message may be heard a moment before it is counted.
    wait_until("the counts", lambda: world.query(sql)[0]["notifications"] >= world.listener.received)
    rows = world.query(sql)
    show.table(rows)
    show.check(rows[0]["worker_starts"] == 1 and rows[0]["errors"] == 0, "one worker all the time, and no errors")
    show.check(rows[0]["notifications"] >= world.listener.received > 0,
               f"no fewer notifications than the {world.listener.received} that were received")


def all_steps(world):
    for step in (self_test, cache_is_filled, one_row, move, insert, record_shape, composite, folded, cascade, unwatched,
                 rollback, savepoint):
        step(world)
    usual = signals_last(world)
    owed = redis_stops(world, usual)
    redis_returns(world, owed)
    normal_again(world)
    statistics_view(world)
