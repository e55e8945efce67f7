#!/usr/bin/env python3
"""Reads rows through a cache (cache-aside): GET, else SELECT and SET with a time to live.

What changes deletes the keys: see docs/recipes.md for the triggers. A reader that is late may store an old value,
which stays until its time is over; examples/lease.py prevents that. Needs the packages redis and psycopg2 (Debian:
python3-redis, python3-psycopg2). Usage: cache_aside.py ID, with the environment's PGHOST and the like, and REDIS_URL.
"""
import json
import os
import sys

import psycopg2
import redis

KEY_PREFIX = ""     # the option of the foreign server
TTL_S = 60
TIMEOUT_S = 0.2     # without an answer of Redis for so long the row is read without it


def connect_cache(url):
    return redis.Redis.from_url(url, decode_responses=True, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)


def cached(cache, key, load):
    try:
        stored = cache.get(KEY_PREFIX + key)
    except redis.RedisError:
        return load()  # Redis is away
    if stored is not None:
        return json.loads(stored)
    value = load()
    try:
        cache.set(KEY_PREFIX + key, json.dumps(value), ex=TTL_S)
    except redis.RedisError:
        pass
    return value


def read_task(database, number):
    with database, database.cursor() as cursor:
        cursor.execute("SELECT id, project_id, title FROM tasks WHERE id = %s", (number,))
        row = cursor.fetchone()
    return None if row is None else {"id": row[0], "project_id": row[1], "title": row[2]}


def main():
    number = int(sys.argv[1])
    database = psycopg2.connect("")
    cache = connect_cache(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    print(json.dumps(cached(cache, f"task:{number}", lambda: read_task(database, number))))


if __name__ == "__main__":
    main()
