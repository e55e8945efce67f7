"""A client for Redis in a few lines: enough to fill a cache and to watch keys go."""

import socket


class RedisError(Exception):
    """An error reply."""


class Redis:
    def __init__(self, port, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.command("AUTH", password)

    def close(self):
        self.stream.close()
        self.socket.close()

    def command(self, *words):
        return self.pipeline([words])[0]

    def pipeline(self, commands):
        """Sends all commands, then reads all replies."""
        out = bytearray()
        for words in commands:
            out += b"*%d\r\n" % len(words)
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                out += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(out)
        replies = [self._read() for _ in commands]
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies

    def _read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if int(rest) < 0 else self.stream.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return None if int(rest) < 0 else [self._read() for _ in range(int(rest))]
        raise ConnectionError(f"unexpected reply {line!r}")

    def present(self, keys):
        """Those of the keys that exist."""
        keys = list(keys)
        return {k for k, n in zip(keys, self.pipeline([("EXISTS", k) for k in keys])) if n} if keys else set()

    def all_keys(self):
        return set(self.command("KEYS", "*"))
