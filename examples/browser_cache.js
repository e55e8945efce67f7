// A cache in a browser that examples/browser_server.js keeps right: one entry for each resource and id.
//
//   const cache = new BrowserCache('wss://example.org/changes', (resource, id) => fetch(`/${resource}/${id}`).then((r) => r.json()));
//   const task = await cache.get('tasks', 7);
//
// Nothing is kept while there is no connection. What was being fetched when its message came is not kept either. It
// stands on its own, without a build: <script src="browser_cache.js">, or require() in Node.
'use strict';

class BrowserCache {
  static RETRY_MS = 1000;
  static SILENCE_MS = 30000; // the server says every 10 s that it is alive

  // load(resource, id): a promise of the value, from a server that reads through the cache whose keys were deleted
  // before the message came.
  constructor(url, load, WebSocketClass = globalThis.WebSocket) {
    this.url = url;
    this.load = load;
    this.WebSocketClass = WebSocketClass;
    this.isLive = false;
    this.entries = new Map(); // resource -> id -> promise
    this.connect();
  }

  get(resource, id) {
    if (!this.isLive) return this.load(resource, id);
    if (!this.entries.has(resource)) this.entries.set(resource, new Map());
    const ids = this.entries.get(resource);
    const name = String(id);
    if (!ids.has(name)) {
      // It is an entry before it has come, so that a message that comes meanwhile drops it.
      const value = this.load(resource, id);
      ids.set(name, value);
      value.catch(() => { if (ids.get(name) === value) ids.delete(name); });
    }
    return ids.get(name);
  }

  // What a message says that is stale is dropped: one entry, a resource, or everything if it cannot be told.
  take(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch (error) {
      message = null;
    }
    const type = message?.type;
    if (type === 'alive') return;
    const resource = message?.table ?? message?.resource; // format=record, format=resource
    const id = message?.record_id ?? message?.id;
    if (type === 'reset' || resource === undefined || resource === null) {
      this.entries.clear();
    } else if (id === undefined || id === null) { // TRUNCATE, a bulk change
      this.entries.delete(resource);
    } else {
      this.entries.get(resource)?.delete(String(id));
    }
  }

  connect() {
    const socket = new this.WebSocketClass(this.url);
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(lose, BrowserCache.SILENCE_MS);
    };
    const lose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.isLive = false;
      this.entries.clear();
      clearTimeout(timer);
      socket.close();
      if (!this.isClosed) setTimeout(() => this.connect(), BrowserCache.RETRY_MS);
    };
    this.socket = socket;
    listen();
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      listen();
      this.isLive = true; // the server speaks from when on we miss nothing
      this.take(event.data);
    };
    socket.onerror = lose;
    socket.onclose = lose;
  }

  close() {
    this.isClosed = true;
    this.socket?.onclose();
  }
}

if (typeof module !== 'undefined') module.exports = { BrowserCache };
