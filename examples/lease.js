#!/usr/bin/env node
// Reads rows through a cache under leases, so that a late reader cannot store what a change has made stale.
//
// Needs the packages redis (4 or later) and pg. See docs/leases.md for the server it expects. Usage: lease.js ID, with
// the environment's PGHOST and the like, and REDIS_URL.
'use strict';

const crypto = require('crypto');
const pg = require('pg');
const redis = require('redis');

const KEY_PREFIX = ''; // the options of the foreign server
const LEASE_PREFIX = 'lease:';
const LEASE_MS = 3000; // longer than reading a row takes
const TTL_S = 3600;

// A connection of its own: what WATCH watches belongs to a connection, and others must not use it meanwhile. Returns
// false when the row changed meanwhile, and the delete of the key took the lease away.
async function fill(cache, key, lease, token, value) {
  const own = cache.duplicate();
  await own.connect();
  try {
    await own.watch(lease);
    if ((await own.get(lease)) !== token) return false;
    await own.multi().set(KEY_PREFIX + key, JSON.stringify(value), { EX: TTL_S }).unlink(lease).exec();
    return true;
  } catch (error) {
    if (error instanceof redis.WatchError) return false;
    throw error;
  } finally {
    await own.quit();
  }
}

// The value of the key, from the cache or from load(), which must see all that is committed when it is called.
async function cached(cache, key, load) {
  const stored = await cache.get(KEY_PREFIX + key);
  if (stored !== null) return JSON.parse(stored);
  const lease = KEY_PREFIX + LEASE_PREFIX + key;
  const token = crypto.randomBytes(16).toString('hex');
  if (!(await cache.set(lease, token, { NX: true, PX: LEASE_MS }))) return load(); // somebody else fills
  const value = await load();
  await fill(cache, key, lease, token, value);
  return value;
}

async function readItem(database, number) {
  const result = await database.query('SELECT id, title, version FROM item WHERE id = $1', [number]);
  return result.rows[0] ?? null;
}

async function main() {
  const number = Number(process.argv[2]);
  const database = new pg.Client();
  await database.connect();
  const cache = redis.createClient({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379/0' });
  await cache.connect();
  console.log(JSON.stringify(await cached(cache, `item:${number}`, () => readItem(database, number))));
  await cache.quit();
  await database.end();
}

module.exports = { cached };
if (require.main === module) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
