#!/usr/bin/env python3
"""What a Windows failover cluster asks of a shared disk when it is validated, by two nodes of which each reaches the
disk through another gateway: identity, registrations and reservations, arbitration with a defender that lives and with
one that is gone, failover of the data. No Windows runs here: the commands are those of the tests that Microsoft
documents, "Validate SCSI-3 Persistent Reservation", "Validate Disk Arbitration" and "Validate Disk Failover".

usage: cluster_validation.py [PROGRAM]
"""

import argparse
import random
import signal
import struct
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster  # noqa: E402
from gateway import Checks  # noqa: E402
from initiator import (  # noqa: E402
    GOOD, Answer, CommandFailed, ConnectionLost, inquiry, persistent_reserve_in, persistent_reserve_out, read_16,
    registration, test_unit_ready, write_16,
)
from nodes import BLOCK, IMAGE, Host, Node, gateways  # noqa: E402
from paths import designators  # noqa: E402
from targets import TargetError  # noqa: E402

READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES = 0, 1, 2
RESERVE, RELEASE, CLEAR, PREEMPT, REGISTER_AND_IGNORE = 1, 2, 3, 4, 6
OF_THE_DISK = 0  # a designator of the port is each path's own [SPC-5 7.7.6]
REGISTRANTS_ONLY = 5  # Write Exclusive, which is what a cluster disk has
CONFLICT = 0x18
DEFENDS_EVERY_S, CHALLENGER_WAITS_S = 3, 7


class ClusterNode:
    """A host of the cluster: its path to the disk, and the key that it goes by."""

    def __init__(self, name: str, node: Node, key: int):
        self.host, self.node, self.key = Host([node], name), node, key

    def do(self, cdb: bytes, data: bytes = b"", length: int = 0) -> Answer:
        return self.host.through(self.node, cdb, data, length)

    def reserve_out(self, action: int, key: int, other: int = 0) -> Answer:
        kind = 0 if action in (REGISTER_AND_IGNORE, CLEAR) else REGISTRANTS_ONLY
        return self.do(persistent_reserve_out(action, kind), registration(key, other, False))

    def register(self) -> None:
        self.reserve_out(REGISTER_AND_IGNORE, 0, self.key).must_be_good("register")

    def unregister(self) -> None:
        self.reserve_out(REGISTER_AND_IGNORE, 0, 0).must_be_good("unregister")

    def keys(self) -> list[int]:
        data = self.do(persistent_reserve_in(READ_KEYS), length=512).data
        return sorted(struct.unpack(f">{(len(data) - 8) // 8}Q", data[8:]))

    def holder(self) -> tuple[int, int] | None:
        """The reservation's key and type."""
        data = self.do(persistent_reserve_in(READ_RESERVATION), length=512).data
        return (struct.unpack_from(">Q", data, 8)[0], data[21] & 15) if len(data) >= 24 else None

    def write(self, data: bytes) -> int:
        return self.do(write_16(8, len(data) // BLOCK, False), data).status

    def read(self) -> Answer:
        return self.do(read_16(8, 8), length=8 * BLOCK)


class Validation:
    def __init__(self, check, first: ClusterNode, second: ClusterNode):
        self.check, self.first, self.second = check, first, second

    def identity(self) -> None:
        for number, what in ((0x80, "serial number"), (0x83, "name")):
            told = [each.do(inquiry(number), length=255).data for each in (self.first, self.second)]
            if number == 0x83:
                told = [[each for each in designators(page) if each[0] == OF_THE_DISK] for page in told]
            self.check(f"both nodes see one {what} of the disk", told[0] == told[1] and told[0])
        data = self.first.do(persistent_reserve_in(REPORT_CAPABILITIES), length=512).data
        self.check("Write Exclusive - Registrants Only is among the types",
                   len(data) == 8 and data[3] & 0x80 and data[4] & 0x20)

    def reservations(self) -> None:
        first, second, check = self.first, self.second, self.check
        for each in (first, second):
            each.register()
        wanted = sorted([first.key, second.key])
        check("each node reads both keys", first.keys() == second.keys() == wanted)
        check("the first reserves", first.reserve_out(RESERVE, first.key).status == GOOD)
        check("the second sees whose it is", second.holder() == (first.key, REGISTRANTS_ONLY))
        check("the second cannot reserve", second.reserve_out(RESERVE, second.key).status == CONFLICT)
        check("and writes as a registrant", second.write(bytes(8 * BLOCK)) == GOOD)
        second.unregister()
        check("without its key it cannot write", second.write(bytes(8 * BLOCK)) == CONFLICT)
        check("but read", second.read().status == GOOD)
        second.register()
        check("it preempts the first", second.reserve_out(PREEMPT, second.key, first.key).status == GOOD)
        told = first.host.session(first.node).execute(test_unit_ready())
        check(f"the first hears of it: {told}", str(told) == "06/2a/05")
        check("and sees whose the reservation is", first.holder() == (second.key, REGISTRANTS_ONLY))
        check("the first cannot write", first.write(bytes(8 * BLOCK)) == CONFLICT)
        check("a key that is not registered preempts nobody",
              first.reserve_out(PREEMPT, first.key, second.key).status == CONFLICT)
        second.unregister()
        check("who unregisters gives the reservation back", first.holder() is None and first.keys() == [])

    def arbitration(self) -> None:
        """A challenger registers, waits for the owner to defend itself, and preempts: who lives has struck its key."""
        first, second, check = self.first, self.second, self.check
        first.register()
        first.reserve_out(RESERVE, first.key).must_be_good("reserve")
        second.register()
        time.sleep(DEFENDS_EVERY_S)
        for key in first.keys():
            if key != first.key:
                first.reserve_out(PREEMPT, first.key, key).must_be_good("defend")
        time.sleep(CHALLENGER_WAITS_S - DEFENDS_EVERY_S)
        check("the challenger of a node that lives loses",
              second.reserve_out(PREEMPT, second.key, first.key).status == CONFLICT)
        check("the owner stays", second.holder() == (first.key, REGISTRANTS_ONLY))

    def failover(self) -> None:
        first, second, check = self.first, self.second, self.check
        for giver, taker in ((first, second), (second, first)):
            data = random.Random(giver.key).randbytes(8 * BLOCK)
            check("the owner writes", giver.write(data) == GOOD)
            giver.reserve_out(RELEASE, giver.key).must_be_good("release")
            taker.register()
            check("the other one reserves", taker.reserve_out(RESERVE, taker.key).status == GOOD)
            check("and reads what was written", taker.read().data == data)

    def loss(self) -> None:
        """The owner's node and the gateway that it came by are gone at once: nobody defends the reservation."""
        first, second, check = self.first, self.second, self.check
        data = random.Random(3).randbytes(8 * BLOCK)
        check("the owner writes", first.write(data) == GOOD)
        first.node.end(signal.SIGKILL)
        began = time.monotonic()
        answer, _ = second.host.somewhere(persistent_reserve_out(REGISTER_AND_IGNORE),
                                          registration(0, second.key, False))
        check("the challenger registers", answer.status == GOOD)
        check("the reservation outlives the gateway by which it was made",
              second.holder() == (first.key, REGISTRANTS_ONLY))
        time.sleep(CHALLENGER_WAITS_S)
        check("the challenger of a node that is gone wins",
              second.reserve_out(PREEMPT, second.key, first.key).status == GOOD)
        answer, _ = second.host.somewhere(read_16(8, 8), length=8 * BLOCK)
        check(f"and reads what was written, {time.monotonic() - began:.1f} s after the loss", answer.data == data)
        second.reserve_out(CLEAR, second.key).must_be_good("clear")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    options = parser.parse_args()
    checks = Checks()
    with Cluster(images={IMAGE: "64M"}) as cluster, gateways(options.sluice, cluster, 2) as nodes:
        hosts = [ClusterNode(name, node, key) for name, node, key in
                 zip(("one", "other"), nodes, (0x6E6F646531730001, 0x6E6F646532730002))]
        run = Validation(checks.check, *hosts)
        try:
            for each in (run.identity, run.reservations, run.arbitration, run.failover, run.loss):
                each()
        except (TimeoutError, ConnectionLost, OSError, AssertionError, CommandFailed, TargetError) as wrong:
            checks.check(f"{type(wrong).__name__}: {wrong}", False)
            for node in nodes:
                print(f"-- {node.name}\n{node.last_lines(15)}")
        finally:
            for each in hosts:
                each.host.close()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
