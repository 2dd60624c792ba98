"""Connections of every hostile shape, by the hundred, from one process. usage: swarm.py PORT TARGET COUNT ADDRESSES
SECONDS [USER SECRET INITIATOR]; without a secret, none of them logs in. Prints "up" when nearly all have come, and what
happened to them as JSON so many seconds later."""

import collections
import errno
import json
import os
import selectors
import socket
import sys
import time

import wire

STRANGER = "iqn.2026-11.io.sluice:stranger"
OFTEN = 0.05  # seconds before a connection that was closed comes again


class Connection:
    """Silent: what a connection does that never says a word."""

    share = 15  # of 100
    reads = True

    def __init__(self, number: int):
        self.number = number
        self.socket: socket.socket | None = None
        self.received, self.unsent = bytearray(), bytearray()
        self.answers = 0

    def begin(self) -> bytes:
        return b""

    def on_pdu(self, header: bytes, data: bytes) -> bytes:
        del header, data
        return b""


class HalfHeader(Connection):
    share = 10

    def begin(self) -> bytes:
        return wire.login(b"", 1)[:20]


class HalfOpen(Connection):
    """A login whose first text goes on, and does not."""

    share = 20

    def begin(self) -> bytes:
        return wire.login(b"X-" + b"x" * 8190, 1, continues=True)


class Continuing(HalfOpen):
    """One whose text goes on for ever."""

    share = 15

    def on_pdu(self, header: bytes, data: bytes) -> bytes:
        return wire.login(b"x" * 8192, 1, continues=True)


class LongText(Connection):
    share = 5

    def begin(self) -> bytes:
        return wire.discovery(STRANGER, self.number) + wire.long_text_header()


class PingsAhead(Connection):
    share = 5

    def begin(self) -> bytes:
        return wire.discovery(STRANGER, self.number) + b"".join(wire.ping_ahead(n) for n in range(32, 0, -1))


class SendTargets(Connection):
    """Eight requests at a time, for ever."""

    share = 20

    def begin(self) -> bytes:
        return wire.discovery(STRANGER, self.number) + b"".join(wire.send_targets(tag) for tag in range(8))

    def on_pdu(self, header: bytes, data: bytes) -> bytes:
        return wire.send_targets(self.answers & 0xFFFF) if header[0] & 0x3F == wire.TEXT_RESPONSE else b""


class Guess(Connection):
    """Guesses the secret."""

    share = 10
    name = target = ""

    def begin(self) -> bytes:
        text = wire.keys(InitiatorName=self.name, TargetName=self.target, SessionType="Normal", AuthMethod="CHAP")
        return wire.login(text, 0, number=self.number) + wire.login(wire.keys(CHAP_A="7"), 0, number=self.number) + \
            wire.login(wire.keys(CHAP_N="tester", CHAP_R="0x" + "00" * 32), 0, 1, number=self.number)


class Greedy(Connection):
    """A session whose 120 WRITEs of 1 MiB never get their data."""

    def flood(self) -> bytes:
        return b"".join(wire.owed_write(n, 1 + n, n % 32 * 2048, 2048) for n in range(120))

    def on_pdu(self, header: bytes, data: bytes) -> bytes:
        return wire.answer_to_ping(header) if header[0] & 0x3F == wire.NOP_IN else b""


SHAPES = [Connection, HalfHeader, HalfOpen, Continuing, LongText, PingsAhead, SendTargets, Guess]


class Swarm:
    def __init__(self, port: int, target: str, count: int, addresses: int):
        self.port, self.addresses = port, addresses
        self.selector = selectors.DefaultSelector()
        self.counts: collections.Counter = collections.Counter()
        self.waiting: list[tuple[float, Connection]] = []
        Guess.target = target
        connections = []
        for shape in SHAPES:
            connections += [shape(len(connections) + n) for n in range(max(1, count * shape.share // 100))]
        self.waiting = [(0.0, each) for each in connections]
        self.size = len(connections)

    def add_session(self, made: socket.socket, number: int) -> None:
        greedy = Greedy(number)
        greedy.socket = made
        made.setblocking(False)
        greedy.unsent += greedy.flood()
        self.selector.register(made, selectors.EVENT_READ | selectors.EVENT_WRITE, greedy)

    def connect(self, c: Connection) -> None:
        c.received, c.unsent = bytearray(), bytearray(c.begin())
        c.socket = socket.socket()
        c.socket.setblocking(False)
        c.socket.bind((f"127.0.0.{2 + c.number % self.addresses}", 0))
        if c.socket.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            return self.lose(c, "not connected")
        self.counts["connections"] += 1
        self.selector.register(c.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, c)

    def lose(self, c: Connection, why: str) -> None:
        self.counts[why] += 1
        try:
            self.selector.unregister(c.socket)
        except KeyError:
            pass
        c.socket.close()
        if not isinstance(c, Greedy):
            self.waiting.append((time.monotonic() + OFTEN, c))

    def serve(self, c: Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                part = c.socket.recv(65536)
                if not part:
                    return self.lose(c, f"closed {type(c).__name__}")
                c.received += part
                for header, data in wire.whole_pdus(c.received):
                    c.answers += 1
                    self.counts["answers"] += 1
                    c.unsent += c.on_pdu(header, data)
            if c.unsent:
                del c.unsent[: c.socket.send(c.unsent[:65536])]
        except BlockingIOError:
            pass
        except OSError:
            return self.lose(c, f"reset {type(c).__name__}")
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if c.unsent else 0)
        if self.selector.get_key(c.socket).events != wanted:
            self.selector.modify(c.socket, wanted, c)

    def run(self, seconds: float) -> None:
        """Until so long after nearly all have come."""
        end = None
        while end is None or time.monotonic() < end:
            now = time.monotonic()
            if end is None and self.counts["connections"] >= 0.9 * self.size:
                print("up", flush=True)
                end = now + seconds
            due = [c for when, c in self.waiting if when <= now][:100]
            chosen = set(map(id, due))
            self.waiting = [(when, c) for when, c in self.waiting if id(c) not in chosen]
            for c in due:
                self.connect(c)
            for key, events in self.selector.select(0.02):
                self.serve(key.data, events)
        self.counts["open at the end"] = len(self.selector.get_map())


def main() -> int:
    port, target, count, addresses, seconds, *secret = sys.argv[1:]
    swarm = Swarm(int(port), target, int(count), int(addresses))
    if secret:
        user, word, Guess.name = secret
        for number in range(3):
            made = wire.log_in(int(port), target, Guess.name, user, word, 0x900000 + number, "127.0.0.201")
            swarm.add_session(made, number)
    swarm.run(float(seconds))
    used = os.times()
    print(json.dumps({**swarm.counts, "cpu_s": round(used.user + used.system, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
