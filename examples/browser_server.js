#!/usr/bin/env node
// Forwards the messages of a channel to browsers, by WebSocket, so that they drop what they have cached: see
// examples/browser_cache.js for their side, and docs/recipes.md.
//
// A browser is connected only while this program LISTENs: when the database is lost, so are all browsers, and they
// drop everything. It tells every browser everything: let your own server check who connects, and forward what he may
// know. Needs the packages pg and ws. Usage: browser_server.js, with the environment's PGHOST and the like, PORT and
// CHANNEL.
'use strict';

const pg = require('pg');
const { WebSocket, WebSocketServer } = require('ws');

const CHANNEL = process.env.CHANNEL ?? 'cache_invalidation';
const RETRY_MS = 1000;
const ALIVE_MS = 10000; // browsers take three times that without a word for a lost connection
const ALIVE = '{"type":"alive"}';

const delay = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// LISTENs, and tells forward() what comes; it resolves with a promise for the end of the connection.
async function listen(forward) {
  const database = new pg.Client({ connectionTimeoutMillis: ALIVE_MS, query_timeout: ALIVE_MS });
  let lose;
  const lost = new Promise((resolve) => { lose = resolve; });
  database.on('error', lose);
  database.on('end', lose);
  database.on('notification', (message) => forward(message.payload));
  // Only what answers is alive: a connection may be dead for long before TCP says so.
  const timer = setInterval(() => {
    database.query('SELECT').then(() => forward(ALIVE), lose);
  }, ALIVE_MS);
  const ended = lost.finally(() => {
    clearInterval(timer);
    database.end().catch(() => {});
  });
  try {
    await database.connect();
    await database.query(`LISTEN ${database.escapeIdentifier(CHANNEL)}`);
  } catch (error) {
    lose();
    throw error;
  }
  return { ended };
}

async function main() {
  let isListening = false;
  const browsers = new WebSocketServer({ port: Number(process.env.PORT ?? 8080) });
  browsers.on('connection', (browser) => {
    browser.on('error', () => {});
    if (isListening) browser.send(ALIVE);
    else browser.close(1013, 'try again later');
  });
  const forward = (text) => {
    for (const browser of browsers.clients) {
      if (browser.readyState === WebSocket.OPEN) browser.send(text);
    }
  };
  for (;;) {
    try {
      const { ended } = await listen(forward);
      isListening = true;
      console.log(`listening, browsers on port ${browsers.address().port}`);
      await ended;
    } catch (error) {
      console.error(`PostgreSQL: ${error.message}`);
    }
    isListening = false;
    for (const browser of browsers.clients) browser.terminate();
    await delay(RETRY_MS);
  }
}

main();
