#!/usr/bin/env python3
"""Reads rows through a cache under leases, so that a late reader cannot store what a change has made stale.

Needs the packages redis and psycopg2 (Debian: python3-redis, python3-psycopg2). See docs/leases.md for the
server it expects. Usage: lease.py ID, with the environment's PGHOST and the like, and REDIS_URL.
"""
import json
import os
import secrets
import sys

import psycopg2
import redis

KEY_PREFIX = ""         # the options of the foreign server
LEASE_PREFIX = "lease:"
LEASE_MS = 3000         # longer than reading a row takes
TTL_S = 3600
TIMEOUT_S = 0.2         # without an answer of Redis for so long the row is read without it


def connect_cache(url):
    return redis.Redis.from_url(url, decode_responses=True, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)


def cached(cache, key, load):
    """The value of the key, from the cache or from load(), which must see all that is committed when it is called."""
    lease = KEY_PREFIX + LEASE_PREFIX + key
    token = secrets.token_hex(16)
    try:
        stored = cache.get(KEY_PREFIX + key)
        if stored is not None:
            return json.loads(stored)
        is_ours = cache.set(lease, token, nx=True, px=LEASE_MS)
    except redis.RedisError:
        is_ours = False  # Redis is away
    value = load()
    if is_ours:
        try:
            fill(cache, KEY_PREFIX + key, json.dumps(value), lease, token)
        except redis.WatchError:
            pass  # the row changed meanwhile, and the delete of the key took the lease away
        except redis.RedisError:
            pass  # stored or not: both are right
    return value


def fill(cache, key, text, lease, token):
    """Stores it, unless the lease was taken away; the pipeline has a connection to itself, as WATCH needs."""
    with cache.pipeline() as pipeline:
        pipeline.watch(lease)
        if pipeline.get(lease) == token:
            pipeline.multi()
            pipeline.set(key, text, ex=TTL_S)
            pipeline.unlink(lease)
            pipeline.execute()


def read_item(database, number):
    with database, database.cursor() as cursor:
        cursor.execute("SELECT id, title, version FROM item WHERE id = %s", (number,))
        row = cursor.fetchone()
    return None if row is None else {"id": row[0], "title": row[1], "version": row[2]}


def main():
    number = int(sys.argv[1])
    database = psycopg2.connect("")
    cache = connect_cache(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    print(json.dumps(cached(cache, f"item:{number}", lambda: read_item(database, number))))


if __name__ == "__main__":
    main()
