#!/usr/bin/env node
// Reads rows through a cache (cache-aside): GET, else SELECT and SET with a time to live.
//
// What changes deletes the keys: see docs/recipes.md for the triggers. A reader that is late may store an old value,
// which stays until its time is over; examples/lease.js prevents that. Needs the packages redis (4 or later) and pg.
// Usage: cache_aside_node_redis.js ID, with the environment's PGHOST and the like, and REDIS_URL.
'use strict';

const pg = require('pg');
const redis = require('redis');

const KEY_PREFIX = ''; // the option of the foreign server
const TTL_S = 60;
const TIMEOUT_MS = 200; // without an answer of Redis for so long the row is read without it

// Connects, and again whenever the connection is lost. Commands fail at once while there is none.
async function connectCache(url) {
  const cache = redis.createClient({ url, disableOfflineQueue: true, socket: { connectTimeout: TIMEOUT_MS } });
  cache.on('error', (error) => console.error(`Redis: ${error.message}`)); // without a listener it ends the program
  await inTime(cache.connect()).catch(() => {});
  return cache;
}

function inTime(promise) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function cached(cache, key, load) {
  let stored;
  try {
    stored = await inTime(cache.get(KEY_PREFIX + key));
  } catch (error) {
    return load(); // Redis is away
  }
  if (stored !== null) return JSON.parse(stored);
  const value = await load();
  await inTime(cache.set(KEY_PREFIX + key, JSON.stringify(value), { EX: TTL_S })).catch(() => {});
  return value;
}

async function readTask(database, number) {
  const result = await database.query('SELECT id, project_id, title FROM tasks WHERE id = $1', [number]);
  return result.rows[0] ?? null;
}

async function main() {
  const number = Number(process.argv[2]);
  const database = new pg.Client();
  await database.connect();
  const cache = await connectCache(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379/0');
  console.log(JSON.stringify(await cached(cache, `task:${number}`, () => readTask(database, number))));
  await cache.disconnect();
  await database.end();
}

module.exports = { connectCache, cached };
if (require.main === module) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
