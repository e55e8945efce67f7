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
const TIMEOUT_MS = 200; // without an answer of Redis for so long the row is read without it

// Stores the value unless the lease was taken away. A script, since what WATCH watches belongs to a connection, and all
// that a program does at the same time shares this one.
const FILL = `
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
  redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
  redis.call('UNLINK', KEYS[1])
  return 1`;

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

// The value of the key, from the cache or from load(), which must see all that is committed when it is called.
async function cached(cache, key, load) {
  const lease = KEY_PREFIX + LEASE_PREFIX + key;
  const token = crypto.randomBytes(16).toString('hex');
  let stored = null;
  let isOurs = null;
  try {
    stored = await inTime(cache.get(KEY_PREFIX + key));
    if (stored === null) isOurs = await inTime(cache.set(lease, token, { NX: true, PX: LEASE_MS }));
  } catch (error) {
    // Redis is away
  }
  if (stored !== null) return JSON.parse(stored);
  const value = await load();
  if (isOurs) {
    const options = { keys: [lease, KEY_PREFIX + key], arguments: [token, JSON.stringify(value), String(TTL_S)] };
    await inTime(cache.eval(FILL, options)).catch(() => {}); // stored or not: both are right
  }
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
  const cache = await connectCache(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379/0');
  console.log(JSON.stringify(await cached(cache, `item:${number}`, () => readItem(database, number))));
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
