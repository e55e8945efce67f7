"""The application's world: a writer, a listener, a cache, and a model of what the cache must hold."""

import json
import queue
import select
import threading
import time
from datetime import datetime

PATIENCE = 15.0   # seconds that a delivery may take before the demo calls it missing
TOO_EARLY = 0.03  # seconds in which it is seen that nothing leaves before the commit


class Listener(threading.Thread):
    """Receives NOTIFY in a session of its own and notes when each message came."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection, self.messages, self.ended = connection, queue.Queue(), False
        self.received = 0
        connection.cursor().execute("LISTEN cache_invalidation")

    def run(self):
        while not self.ended:
            if select.select([self.connection], [], [], 0.2)[0]:
                self.connection.poll()
                while self.connection.notifies:
                    self.received += 1
                    self.messages.put((time.perf_counter(), self.connection.notifies.pop(0).payload))

    def take(self, count, seconds=PATIENCE):
        """Waits for so many messages; returns (time, text) of those that came."""
        taken, deadline = [], time.perf_counter() + seconds
        while len(taken) < count:
            try:
                taken.append(self.messages.get(timeout=max(0.0, deadline - time.perf_counter())))
            except queue.Empty:
                break
        return taken

    def take_until(self, wanted, seconds=PATIENCE):
        """Takes messages up to the one that is wanted; returns those before it, and it or None."""
        before = []
        while True:
            message = self.take(1, seconds)
            if not message or wanted(json.loads(message[0][1])):
                return before, message[0] if message else None
            before += message


def message_fits(payload, expected):
    """Exactly the expected members, and the time of the commit; the shape "record" has the transaction too."""
    payload = dict(payload)
    try:
        committed = payload.pop("timestamp")
        if "record_id" in payload:
            int(payload.pop("batch_id"))
        else:
            committed = datetime.fromisoformat(committed).timestamp()
        return payload == expected and abs(time.time() - committed) < 300
    except (KeyError, TypeError, ValueError):
        return False


class World:
    def __init__(self, show, servers):
        self.show, self.servers = show, servers
        self.admin = servers.connect()
        self.writer = servers.connect(autocommit=False)
        self.cache = servers.redis()
        self.listener = Listener(servers.connect())
        self.listener.start()
        self.model = set()     # the keys that must be in the cache
        self.touched = set()   # the keys that were invalidated in some step
        self.sentinels = 0

    def close(self):
        self.listener.ended = True
        self.listener.join(timeout=2)
        for connection in (self.admin, self.writer, self.listener.connection):
            connection.close()
        self.cache.close()

    def query(self, sql, *values):
        with self.admin.cursor() as cursor:
            cursor.execute(sql, values or None)
            return [dict(zip((c.name for c in cursor.description), row)) for row in cursor.fetchall()]

    def value(self, sql):
        return next(iter(self.query(sql)[0].values()))

    def fill(self, fresh_only=False):
        """Caches everything there is; fresh_only: but for what an earlier step invalidated."""
        keys = {row["key"] for row in self.query("SELECT key FROM cached_keys")}
        self.model = keys - self.touched if fresh_only else keys
        self.cache.pipeline([("FLUSHDB",), *(("SET", k, "cached") for k in sorted(self.model))])

    def write(self, *statements):
        """Commits the statements in one transaction; returns when COMMIT had returned, and how long it took."""
        self.execute(statements)
        start = time.perf_counter()
        self.writer.commit()
        end = time.perf_counter()
        return end, end - start

    def watch(self, keys, since, seconds=PATIENCE):
        """Asks for the keys over and over; returns when each was gone, in seconds since then."""
        left, gone = set(keys), {}
        while left and time.perf_counter() - since < seconds:
            still = self.cache.present(left)
            now = time.perf_counter() - since
            gone.update({k: now for k in left - still})
            left = still
        return gone

    def sentinel(self):
        """A change of which the message proves that whatever was committed before has been delivered.
        Returns the texts of those that came before it; its key is taken out of the model."""
        self.sentinels += 1
        since, _ = self.write(f"UPDATE users SET name = 'sentinel {self.sentinels}' WHERE id = 6")
        before, found = self.listener.take_until(lambda m: m.get("resource") == "user" and m.get("id") == "6")
        self.watch(["user:6"], since)
        self.model.discard("user:6")
        self.touched.add("user:6")
        if not found:
            self.show.check(False, "the message of the following change arrived")
        return [text for _, text in before]

    def execute(self, statements):
        with self.writer.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def check_rest(self, claim=""):
        """All other keys are still there, and none came back."""
        actual = self.cache.all_keys()
        self.show.check(actual == self.model, claim or f"all {len(self.model)} other keys are still cached",
                        f"missing: {sorted(self.model - actual)[:8]}; too many: {sorted(actual - self.model)[:8]}")

    def change(self, statements, vanish, messages, fresh_only=False):
        """The usual step: make a change, see its keys go and its messages come, and nothing else."""
        show = self.show
        self.fill(fresh_only)
        show.sql(*(statements if len(statements) == 1 else ("BEGIN", *statements, "COMMIT")))
        self.execute(statements)
        early = self.watch(vanish, time.perf_counter(), TOO_EARLY)
        show.check(not early and self.listener.messages.empty(), "before COMMIT nothing is sent",
                   f"gone: {sorted(early)[:8]}, messages: {self.listener.messages.qsize()}")
        since, _ = self.write()
        gone = self.watch(vanish, since)
        received = self.listener.take(len(messages))

        show.timed("gone", [(t, key) for key, t in sorted(gone.items(), key=lambda item: (item[1], item[0]))])
        show.timed("message", [(max(0.0, at - since), text) for at, text in received], 4)
        show.check(set(gone) == set(vanish), f"{len(vanish)} stale {'key is' if len(vanish) == 1 else 'keys are'} gone",
                   f"left: {sorted(set(vanish) - set(gone))[:8]}")
        self.model -= set(vanish)
        self.touched |= set(vanish)
        self.check_messages(received, messages)
        self.check_rest()

    def check_messages(self, received, expected):
        """Each expected message came once, in any order."""
        left = list(expected)
        odd = []
        for _, text in received:
            fitting = [e for e in left if message_fits(json.loads(text), e)]
            if fitting:
                left.remove(fitting[0])
            else:
                odd.append(text)
        claim = "the message is as expected" if len(expected) == 1 else f"the {len(expected)} messages are as expected"
        self.show.check(not left and not odd, claim,
                        f"missing: {left[:3]}; not expected: {odd[:3]}")
