#!/usr/bin/env python3
"""Three gateways in network namespaces of their own, over a real Ceph cluster in another: gateways are killed and
suspended, any two of them, of the cluster and of the hosts are cut off from each other, one way or both, and OSDs are
killed, one fault after the other, while two hosts write and read through two paths each. No block is wrong, every
command is answered, and the reservation stays as it was.

usage: faults.py [PROGRAM] [--rounds N] [--seed N] [--only KIND]
"""

import argparse
import random
import signal
import statistics
import struct
import sys
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster, ClusterError  # noqa: E402
from gateway import Checks  # noqa: E402
from initiator import (  # noqa: E402
    GOOD, CommandFailed, ConnectionLost, persistent_reserve_in, persistent_reserve_out, read_16, registration, write_16,
)
from network import Place, boxes, enter  # noqa: E402
from nodes import BLOCK, IMAGE, NAMES, Host, Node, gateways, stamp  # noqa: E402
from targets import TargetError  # noqa: E402

AREA = 16  # blocks of each host: few, so that what lands late lands on something
LIMIT_S = 60  # for any command
CALM_S = 40  # for all to be well after a fault
RESERVED, KEY = 7, {"one": 0xA, "other": 0xB}  # write exclusive, all registrants
CONFLICT = 0x18


class Load(threading.Thread):
    """A host that writes numbers to its own blocks, and reads back both hosts'."""

    def __init__(self, nodes: list[Node], name: str, first: int, seed: int):
        super().__init__(daemon=True)
        self.host, self.first, self.random = Host(nodes, name), first, random.Random(seed)
        self.peer: Load | None = None
        self.held = [0] * AREA  # as GOOD was answered
        self.sent = [0] * AREA  # that may be there
        self.commands, self.worst_s, self.wrong = 0, 0.0, ""  # the worst of a round
        self.over = threading.Event()

    def run(self) -> None:
        try:
            while not self.over.is_set() and not self.wrong:
                self.random.shuffle(self.host.nodes)
                self.write() if self.random.random() < 0.6 else self.read(self.random.choice([self, self.peer]))
                time.sleep(0.002)
        except (TimeoutError, CommandFailed, AssertionError) as failed:
            self.wrong = f"{self.host.name}: {type(failed).__name__}: {failed}"

    def ask(self, *words, **more) -> bytes:
        answer, took = self.host.somewhere(*words, **more, limit_s=LIMIT_S)
        self.commands += 1
        self.worst_s = max(self.worst_s, took)
        if answer.status != GOOD:
            raise CommandFailed(f"{words[0].hex()}: {answer}")
        return answer.data

    def write(self) -> None:
        at = self.random.randrange(AREA)
        self.sent[at] += 1
        self.ask(write_16(self.first + at, 1, False), stamp(self.sent[at]))
        self.held[at] = self.sent[at]

    def read(self, of: "Load") -> None:
        """What was answered before the read, or anything sent since."""
        low = list(of.held)
        data = self.ask(read_16(of.first, AREA), length=AREA * BLOCK)
        high = list(of.sent)
        for at in range(AREA):
            found = set(struct.unpack_from(f">{BLOCK // 8}Q", data, at * BLOCK))
            if len(found) != 1 or not low[at] <= min(found) <= high[at]:
                self.wrong = (f"{self.host.name} read {sorted(found)} in block {of.first + at}, where {low[at]} to "
                              f"{high[at]} may be")

    def end(self) -> None:
        self.over.set()
        self.join(LIMIT_S + 10)
        self.host.close()


class Faults:
    """Each is made, and undone by what it returns."""

    def __init__(self, nodes: list[Node], places: dict[str, Place], cluster: Cluster, seed: int):
        self.nodes, self.places, self.cluster, self.random = nodes, places, cluster, random.Random(seed)
        self.kinds = {"kill": self.kill, "suspend": self.suspend, "link": self.link, "storage": self.storage,
                      "path": self.path, "osd": self.osd}

    def owner(self) -> Node:
        names = {node.name: node for node in self.nodes}
        until = time.monotonic() + CALM_S
        while time.monotonic() < until:
            for node in self.nodes:
                if (found := names.get(node.owner())) is not None:
                    return found
            time.sleep(0.1)
        raise TimeoutError("nobody owns the unit")

    def some(self) -> Node:
        """The owner, mostly."""
        return self.owner() if self.random.random() < 0.6 else self.random.choice(self.nodes)

    def kill(self):
        node = self.some()
        node.end(signal.SIGKILL)
        return f"{node.name} is killed", node.start

    def suspend(self):
        node = self.some()
        node.suspend()
        return f"{node.name} stands still", lambda: node.send(signal.SIGCONT)

    def link(self):
        return self.cut(*self.random.sample(NAMES, 2))

    def storage(self):
        return self.cut(self.some().name, "ceph")

    def path(self):
        return self.cut("hosts", self.some().name)

    def cut(self, one: str, other: str):
        ways = self.random.choice([[(one, other)], [(other, one)], [(one, other), (other, one)]])
        for a, b in ways:
            self.places[a].cut(self.places[b].address)
        what = f"nothing gets from {one} to {other}" + ("" if len(ways) == 1 else " or back")
        if len(ways) == 1 and ways[0][0] == other:
            what = f"nothing gets from {other} to {one}"

        def mend() -> None:
            for a, b in ways:
                self.places[a].mend(self.places[b].address)
        return what, mend

    def osd(self):
        number = self.random.randrange(2)
        self.cluster.kill(f"osd.{number}")
        return f"osd.{number} is killed", lambda: self.cluster.up(f"osd.{number}")


class Run:
    def __init__(self, checks: Checks, nodes: list[Node], faults: Faults, options: argparse.Namespace):
        self.checks, self.nodes, self.faults, self.options = checks, nodes, faults, options
        alpha, beta, gamma = nodes
        self.one = Load([alpha, beta], "one", 0, options.seed)
        self.other = Load([beta, gamma], "other", AREA, options.seed + 1)
        self.one.peer, self.other.peer = self.other, self.one
        self.stranger = Host(nodes, "third")
        self.reservation = b""
        self.pauses: dict[str, list[float]] = {}

    def reserve(self) -> None:
        for load in (self.one, self.other):
            load.host.somewhere(write_16(load.first, AREA, False), bytes(AREA * BLOCK))[0].must_be_good("write")
            parameters = registration(0, KEY[load.host.name.rpartition(":")[2]], False)
            for node in load.host.nodes:
                load.host.through(node, persistent_reserve_out(0), parameters).must_be_good("register")
        self.one.host.through(self.nodes[0], persistent_reserve_out(1, RESERVED),
                              registration(KEY["one"], 0, False)).must_be_good("reserve")
        self.reservation = self.read_reservation()

    def read_reservation(self) -> bytes:
        """All nexuses, without PRGENERATION, in any order."""
        answer, _ = self.stranger.somewhere(persistent_reserve_in(3), length=512)
        answer.must_be_good("READ FULL STATUS")
        parts, at = [], 8
        while at + 24 <= len(answer.data):
            end = at + 24 + struct.unpack_from(">I", answer.data, at + 20)[0]
            parts.append(answer.data[at:end])
            at = end
        return b"".join(sorted(parts))

    def go(self) -> None:
        self.reserve()
        self.one.start()
        self.other.start()
        kinds = [self.options.only] if self.options.only else list(self.faults.kinds)
        for number in range(self.options.rounds):
            if not self.round(number, kinds[number % len(kinds)]):
                break
        self.one.end()
        self.other.end()
        for reader in (self.one, self.other):
            for of in (self.one, self.other):
                if not reader.wrong:
                    reader.read(of)
            self.checks.check(f"{reader.host.name}: {reader.commands} commands answered, every block as it was written "
                              f"{reader.wrong}", not reader.wrong)
        for kind, pauses in self.pauses.items():
            print(f"{kind}: {len(pauses)} rounds; a command took at most {statistics.median(pauses):.1f} s at the "
                  f"median, {max(pauses):.1f} s at the worst")

    def round(self, number: int, kind: str) -> bool:
        for load in (self.one, self.other):
            load.worst_s = 0.0
        what, undo = self.faults.kinds[kind]()
        lasts_s = self.faults.random.choice([0.5, 2, 4.5, 6, 9])
        time.sleep(lasts_s)
        undo()
        began = time.monotonic()
        trouble = self.await_calm()
        worst = max(self.one.worst_s, self.other.worst_s)
        self.pauses.setdefault(kind, []).append(worst)
        self.checks.check(f"{number + 1}: {what} for {lasts_s:g} s: a command took at most {worst:.1f} s, all was well "
                          f"{time.monotonic() - began:.1f} s later{trouble}", not trouble)
        return not trouble

    def await_calm(self) -> str:
        """Both hosts' commands go through each gateway again, and the reservation is what it was; or why not."""
        until = time.monotonic() + CALM_S
        waits = ""
        while time.monotonic() < until:
            if self.one.wrong or self.other.wrong:
                return f": {self.one.wrong or self.other.wrong}"
            waits = self.not_well()
            if not waits:
                return ""
            time.sleep(0.1)
        return f": {waits}"

    def not_well(self) -> str:
        for node in self.nodes:
            try:
                told = self.stranger.through(node, write_16(0, 1, False), stamp(0xBAD))
                if told.status != CONFLICT:
                    return f"a stranger's write through {node.name}: {told}"
                told = self.stranger.through(node, read_16(0, 1), length=BLOCK)
                if told.status != GOOD:
                    return f"a read through {node.name}: {told}"
            except (ConnectionLost, OSError) as lost:
                self.stranger.drop(node)
                return f"{node.name}: {lost}"
        before = self.one.commands, self.other.commands
        time.sleep(0.2)
        if self.one.commands == before[0] or self.other.commands == before[1]:
            return "a host waits"
        return "" if self.read_reservation() == self.reservation else "the reservation is another one"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["kill", "suspend", "link", "storage", "path", "osd"])
    options = parser.parse_args()
    checks = Checks()
    if reason := enter("SLUICE_TEST_IN_NAMESPACE"):
        checks.skip("faults between namespaces", reason)
        return checks.end()
    with boxes([*NAMES, "ceph"]) as places:
        settings = {"osd_pool_default_size": "2", "mon_osd_min_down_reporters": "1"}
        with (Cluster(osds=2, store="bluestore", size=1 << 30, images={IMAGE: "64M"}, settings=settings,
                      address=places["ceph"].address, within=places["ceph"].prefix) as cluster,
              gateways(options.sluice, cluster, len(NAMES), boxes=places, caches=True) as nodes):
            run = Run(checks, nodes, Faults(nodes, {**places, "hosts": Place()}, cluster, options.seed), options)
            try:
                run.go()
            except (TimeoutError, ConnectionLost, OSError, AssertionError, CommandFailed, TargetError,
                    ClusterError) as wrong:
                checks.check(f"{type(wrong).__name__}: {wrong}", False)
            if checks.failed:
                for node in nodes:
                    print(f"-- {node.name}\n{node.last_lines(15)}\n{node.ask('status').stdout}")
            run.stranger.close()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
