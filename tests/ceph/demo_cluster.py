#!/usr/bin/env python3
"""`./dev demo --cluster`: a real Ceph cluster on loopback, three gateways that serve one image of it, and a host with a
path to each that writes and reads without end. The unit is moved, its owner is drained, and its next owner is killed:
the host goes on, and every block is as it was written.

usage: demo_cluster.py [PROGRAM]
"""

import random
import signal
import struct
import sys
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster  # noqa: E402
from initiator import GOOD, read_16, write_16  # noqa: E402
from nodes import BLOCK, IMAGE, NAMES, Host, Node, gateways, stamp  # noqa: E402

BLOCKS = 4096


def say(what: str) -> None:
    print(f"\n\033[1m{what}\033[0m", flush=True)


class Load(threading.Thread):
    """Writes and reads blocks, one after the other, and knows what each of them must hold."""

    def __init__(self, nodes: list[Node]):
        super().__init__(daemon=True)
        self.host, self.held, self.ends = Host(nodes, "demo"), {}, False
        self.commands, self.wrong, self.failed, self.longest_s = 0, 0, "", 0.0

    def run(self) -> None:
        pick = random.Random(1)
        try:
            while not self.ends:
                block = pick.randrange(BLOCKS)
                self.write(block) if pick.random() < 0.5 or block not in self.held else self.read(block)
        except (TimeoutError, AssertionError) as lost:
            self.failed = str(lost)

    def do(self, cdb: bytes, data: bytes = b"", length: int = 0) -> bytes:
        answer, took = self.host.somewhere(cdb, data, length)
        self.commands += 1
        self.longest_s = max(self.longest_s, took)
        assert answer.status == GOOD, f"a command ended with {answer}"
        return answer.data

    def write(self, block: int) -> None:
        self.do(write_16(block, 1, False), stamp(self.commands))
        self.held[block] = self.commands - 1

    def read(self, block: int) -> None:
        found = struct.unpack_from(">Q", self.do(read_16(block, 1), length=BLOCK))[0]
        self.wrong += found != self.held[block]

    def tell(self, seconds: float) -> None:
        """What the host saw from now on."""
        before, self.longest_s = self.commands, 0.0
        time.sleep(seconds)
        print(f"the host: {self.commands - before} commands in {seconds:.0f} s, the slowest took "
              f"{self.longest_s * 1000:.0f} ms, {self.wrong} wrong blocks", flush=True)


def status(by: Node) -> None:
    print(by.ask("cluster", "status").stdout, flush=True)


def show(nodes: list[Node]) -> Load:
    print(nodes[0].config.read_text())
    load = Load(nodes)
    load.start()
    load.tell(2)
    status(nodes[0])

    say("sluice unit move disk --to beta")
    nodes[0].ask("unit", "move", "disk", "--to", "beta")
    load.tell(2)

    say("sluice cluster drain beta")
    print(nodes[0].ask("cluster", "drain", "beta").stdout, end="")
    load.tell(2)
    status(nodes[0])

    owner = next(node for node in nodes if node.name == nodes[1].owner())
    say(f"{owner.name}, which owns the unit now, is killed (SIGKILL)")
    owner.end(signal.SIGKILL)
    load.tell(8)
    status(nodes[1])

    say(f"{owner.name} starts again, and beta is undrained")
    owner.start()
    nodes[1].ask("cluster", "undrain", "beta")
    load.tell(2)
    status(nodes[1])
    load.ends = True
    load.join(60)
    return load


def main() -> int:
    program = Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "build" / "release" / "sluice").resolve()
    say("A Ceph cluster: one monitor, one OSD, cephx, a user that may use one pool")
    with Cluster(images={IMAGE: "64M"}) as cluster:
        say("Three gateways join the cluster and serve the image")
        with gateways(program, cluster, len(NAMES)) as nodes:
            load = show(nodes)
    well = not load.failed and load.wrong == 0
    say(f"Done: {load.commands} commands, every block as it was written." if well
        else f"NOT WELL: {load.wrong} wrong blocks {load.failed}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
