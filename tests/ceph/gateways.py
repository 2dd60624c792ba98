#!/usr/bin/env python3
"""Three gateways, real processes, that share one image of a real Ceph cluster: one truth of identity, paths and
reservations; what comes to a gateway that does not own the unit goes through its owner; the unit moves by command,
when its owner is drained, stops, is killed (SIGKILL) or stands still (SIGSTOP), and what a host was told is written is
read through whichever gateway owns it then.

usage: gateways.py [PROGRAM] [--rounds N] [--caches] [--long]
"""

import argparse
import json
import random
import signal
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster  # noqa: E402
from gateway import Checks  # noqa: E402
from initiator import (  # noqa: E402
    GOOD, LOGICAL_UNIT_RESET, CommandFailed, ConnectionLost, inquiry, persistent_reserve_in, persistent_reserve_out,
    read_16, registration, test_unit_ready, write_16,
)
from nodes import BLOCK, IMAGE, NAMES, Host, Node, gateways, stamp  # noqa: E402
from targets import TargetError, spawn  # noqa: E402

FAILOVER_LIMIT_S = 15  # of a loaded machine; what was seen is printed


def set_target_port_groups(group: int, state: int) -> tuple[bytes, bytes]:
    """The command and its parameter list [SPC-4 6.45]."""
    return struct.pack(">BB4xIxx", 0xA4, 0x0A, 8), struct.pack(">4xBxH", state, group)


def report_target_port_groups() -> bytes:
    return bytes([0xA3, 0x0A, 0, 0, 0, 0]) + struct.pack(">I", 4096) + bytes(2)


class Run:
    def __init__(self, checks: Checks, nodes: list[Node], options: argparse.Namespace):
        self.checks, self.nodes, self.rounds = checks, nodes, options.rounds
        self.contests = 10_000 if options.long else 200
        self.by_name = {node.name: node for node in nodes}
        self.one, self.other = Host(nodes, "one"), Host(nodes, "other")
        self.number = 0  # of the newest write
        self.held = {}  # block -> number, as GOOD was answered

    def owner(self) -> Node:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for node in self.nodes:
                if node.process and node.owner() in self.by_name:
                    return self.by_name[node.owner()]
            time.sleep(0.1)
        raise TimeoutError("nobody owns the unit")

    def write(self) -> float:
        """The next number to its block, through whichever path; how long that took."""
        self.number += 1
        block = self.number % 64
        answer, took = self.one.somewhere(write_16(block, 1, False), stamp(self.number))
        answer.must_be_good(f"write {self.number}")
        self.held[block] = self.number
        return took

    def verify(self, what: str) -> None:
        answer, _ = self.one.somewhere(read_16(0, 64), length=64 * BLOCK)
        answer.must_be_good("read")
        found = {block: struct.unpack_from(">Q", answer.data, block * BLOCK)[0] for block in self.held}
        self.checks.check(f"{what}: every block is as it was written", found == self.held)

    # -- what is true on every path ----------------------------------------------------------------------------------
    def identity(self) -> None:
        for page, what in ((0x80, "serial number"), (0xB2, "provisioning page")):
            told = {self.one.through(node, inquiry(page), length=4096).data for node in self.nodes}
            self.checks.check(f"one {what} on three gateways", len(told) == 1)
        standard = bytes([0x12, 0, 0, 0, 96, 0])
        told = {self.one.through(node, standard, length=96).data[5] >> 4 & 3 for node in self.nodes}
        self.checks.check("INQUIRY says that hosts may choose the owner", told == {3})
        groups = {self.one.through(node, report_target_port_groups(), length=4096).data for node in self.nodes}
        self.checks.check("REPORT TARGET PORT GROUPS says the same on three gateways", len(groups) == 1)
        data = next(iter(groups))
        states, at = [], 4
        while at + 8 <= len(data):
            states.append(data[at] & 15)
            at += 8 + 4 * data[at + 7]
        self.checks.check("one group is optimized, two are active and not", sorted(states) == [0, 1, 1])

    def paths(self) -> None:
        owner = self.owner()
        for node in self.nodes:
            told = str(self.one.through(node, write_16(0, 1, False), stamp(0)))
            self.checks.check(f"{node.name} writes{'' if node is owner else ' through the owner'}: {told}",
                              told == "GOOD")
        self.through_the_owner([node for node in self.nodes if node is not owner], owner)
        time.sleep(1.5)  # gateways look around twice a second
        for node in self.nodes:
            told = node.ask("cluster", "status")
            named = told.returncode == 0 and all(name in told.stdout for name in NAMES)
            self.checks.check(f"{node.name}: cluster status names all of them", named)

    def through_the_owner(self, others: list[Node], owner: Node) -> None:
        """Whatever a command moves, and however it ends, it is the same by any path."""
        for number, node in enumerate(others):
            whole = True
            for blocks in (1, 8, 300, 2048, 4096):  # 4096: more than is sent at a time
                data = random.Random(blocks + number).randbytes(blocks * BLOCK)
                told = self.one.through(node, write_16(1024, blocks, False), data)
                back = [self.one.through(by, read_16(1024, blocks), length=len(data)) for by in (owner, node)]
                whole = whole and told.status == GOOD and all(each.data == data for each in back)
            self.checks.check(f"{node.name}: 512 octets to 2 MiB, written and read through the owner", whole)
            by_owner, by_other = (str(self.one.through(by, read_16(1 << 40, 1), length=BLOCK)) for by in (owner, node))
            self.checks.check(f"{node.name}: an LBA that is not there: {by_other}", by_owner == by_other == "05/21/00")
            short = self.one.through(node, read_16(1024, 8), length=3 * BLOCK)
            self.checks.check(f"{node.name}: a host with less room gets what fits",
                              short.status == GOOD and len(short.data) == 3 * BLOCK)

    def owed_data(self) -> None:
        """A host that owes data through another gateway holds up neither its fence nor the unit's move."""
        owner = self.owner()
        node = next(each for each in self.nodes if each is not owner)
        debtor = Host([node], "debtor")
        debtor.through(node, test_unit_ready())
        tag, _ = debtor.session(node).owe(write_16(2000, 16, False), b"x" * 16 * BLOCK)
        began = time.monotonic()
        response = self.one.session(owner).manage(LOGICAL_UNIT_RESET)
        took = time.monotonic() - began
        self.checks.check(f"a reset ends what waits for a host at another gateway: {took * 1000:.0f} ms",
                          response == 0 and took < 2)
        told = self.one.through(owner, read_16(2000, 16), length=16 * BLOCK)
        self.checks.check("nothing of it was written", told.status == GOOD and b"x" * BLOCK not in told.data)
        debtor.session(node).forget(tag)
        debtor.close()

    def reservations(self) -> None:
        """Made through one gateway, obeyed by all before that is answered."""
        first, second = self.nodes[1], self.nodes[2]
        self.one.through(first, persistent_reserve_out(0), registration(0, 0xA, False)).must_be_good("register")
        self.one.through(first, persistent_reserve_out(1, 1), registration(0xA, 0, False)).must_be_good("reserve")
        keys = {self.other.through(node, persistent_reserve_in(0), length=512).data for node in self.nodes}
        self.checks.check("READ KEYS says the same on three gateways", len(keys) == 1 and len(next(iter(keys))) == 16)
        told = self.other.through(self.owner(), write_16(1, 1, False), stamp(0))
        self.checks.check("who has no registration is refused by the owner", told.status == 0x18)
        # The registration is of one I_T nexus: the paths of this host beside it are strangers as well.
        self.other.through(second, persistent_reserve_out(0), registration(0, 0xB, False)).must_be_good("register")
        self.other.through(second, persistent_reserve_out(5, 1), struct.pack(">QQ8x", 0xB, 0xA)).must_be_good("preempt")
        told = self.one.session(first).execute(test_unit_ready())
        self.checks.check(f"who was preempted through another gateway hears of it: {told}", str(told) == "06/2a/05")
        self.other.through(second, persistent_reserve_out(3), registration(0xB, 0, False)).must_be_good("clear")

    def compare_and_write(self) -> None:
        """Each round all three try at once to put their mark over the same value: one wins."""
        cdb = bytes([0x89, 0]) + struct.pack(">Q", 100) + bytes([0, 0, 0, 1, 0, 0])
        for node in self.nodes:
            self.one.through(node, test_unit_ready())
        value, fair, wins = 0, True, dict.fromkeys(NAMES, 0)
        self.one.through(self.nodes[0], write_16(100, 1, False), stamp(value)).must_be_good("write")
        for turn in range(1, self.contests + 1):
            marks = {node.name: turn * 10 + number for number, node in enumerate(self.nodes)}
            for node in random.sample(self.nodes, len(self.nodes)):
                self.one.session(node).submit(cdb, stamp(value) + stamp(marks[node.name]))
            winners = [node.name for node in self.nodes if self.one.session(node).answer().status == GOOD]
            fair = fair and len(winners) == 1
            if not fair:
                break
            wins[winners[0]] += 1
            value = marks[winners[0]]
        self.checks.check(f"COMPARE AND WRITE has one winner in each of {self.contests} rounds: {wins}", fair)
        held = self.one.through(self.nodes[0], read_16(100, 1), length=BLOCK)
        self.checks.check("the last winner's mark is there", held.data == stamp(value))

    # -- moves -------------------------------------------------------------------------------------------------------
    def planned(self) -> None:
        pauses = []
        for _ in range(self.rounds):
            owner = self.owner()
            to = self.nodes[(self.nodes.index(owner) + 1) % 3]
            self.write()
            asked = spawn([owner.program, "unit", "move", "disk", "--to", to.name, "--control", owner.control],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            worst = 0.0
            while asked.poll() is None:
                worst = max(worst, self.write())
            if asked.returncode != 0:
                self.checks.check(f"unit move: {asked.stdout.read().decode()}", False)
            asked.stdout.close()
            pauses.append(max(worst, self.write()))
            if self.owner() is not to:
                self.checks.check(f"the unit moved to {to.name}", False)
        print(f"a planned move: writes pause for {statistics.median(pauses) * 1000:.0f} ms at the median of "
              f"{len(pauses)}, {max(pauses) * 1000:.0f} ms at the worst")
        self.checks.check(f"{len(pauses)} planned moves while a host writes", len(pauses) == self.rounds)
        self.verify("planned moves")
        wrong = self.nodes[0].ask("unit", "move", "disk", "--to", "bta")
        self.checks.check("a gateway that is not there is named", wrong.returncode == 1 and "beta" in wrong.stderr)

    def chosen(self) -> None:
        """A host chooses the owner, through a gateway that is neither the owner nor to be it."""
        owner = self.owner()
        to, by = [node for node in self.nodes if node is not owner]
        began = time.monotonic()
        told = self.one.through(by, *set_target_port_groups(self.nodes.index(to) + 1, 0))
        took = time.monotonic() - began
        self.checks.check(f"SET TARGET PORT GROUPS moves the unit: {told} after {took * 1000:.0f} ms",
                          told.status == GOOD and by.owner() == to.name)
        self.verify("a host's choice")
        told = self.one.through(by, *set_target_port_groups(self.nodes.index(to) + 1, 2))
        self.checks.check(f"the owner's group cannot be sent to standby alone: {told}", str(told) == "05/26/00")

    def drained(self) -> None:
        """Through another gateway; what is drained owns nothing, even when its heir is killed, or it starts anew."""
        owner = self.owner()
        by, third = (node for node in self.nodes if node is not owner)
        self.write()
        asked = spawn([by.program, "cluster", "drain", owner.name, "--control", by.control], stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT)
        worst = 0.0
        while asked.poll() is None:
            worst = max(worst, self.write())
        told = asked.stdout.read().decode()
        asked.stdout.close()
        print(f"a drain: {told.strip()}; writes pause for {worst * 1000:.0f} ms")
        heir = self.owner()
        self.checks.check(f"what was drained owns nothing: {told.strip()}", asked.returncode == 0 and heir is not owner)
        self.checks.check("its paths go on to serve", self.reads_through(owner))
        refused = by.ask("unit", "move", "disk", "--to", owner.name)
        self.checks.check("nothing moves to it", refused.returncode == 1 and "undrain" in refused.stderr)
        owner.end()
        owner.start()
        heir.end(signal.SIGKILL)
        took = self.write()
        after = self.owner()
        self.checks.check(f"it is passed over when its heir is killed ({took:.1f} s), even after a start of its own",
                          after not in (owner, heir) and self.states(owner)[owner.name] == "drained")
        self.verify("a drain")
        refused = owner.ask("cluster", "drain", after.name)
        self.checks.check("the last that could own units is not drained", refused.returncode == 1)
        self.checks.check(f"a gateway that was killed is gone: {self.states(owner)}",
                          self.comes_true(lambda: self.states(owner).get(heir.name) == "gone"))
        living = owner.ask("cluster", "forget", after.name)
        self.checks.check("who lives is not forgotten", living.returncode == 1 and "not gone" in living.stderr)
        gone = owner.ask("cluster", "forget", heir.name)
        self.checks.check("who is gone can be",
                          gone.returncode == 0 and self.comes_true(lambda: heir.name not in self.states(after)))
        heir.start()
        self.checks.check("and comes back", self.comes_true(lambda: self.states(after).get(heir.name) == "member"))
        owner.ask("cluster", "undrain", owner.name)
        moved = after.ask("unit", "move", "disk", "--to", owner.name)
        self.checks.check(f"who is undrained owns units again {moved.stderr}", self.owner() is owner)
        self.verify("an undrain")
        wrong = by.ask("cluster", "drain", "bta")
        self.checks.check("a gateway that was never there is named", wrong.returncode == 1 and "beta" in wrong.stderr)

    def by_load(self) -> None:
        """A host that uses one path only draws the unit to its gateway; two that use two paths do not."""
        owner = self.owner()
        near = next(node for node in self.nodes if node is not owner)
        one_path = Host([near], "one-path")
        began = time.monotonic()
        while self.owner() is owner and time.monotonic() - began < 60:
            for _ in range(200):
                one_path.somewhere(read_16(0, 1), length=BLOCK)
        took = time.monotonic() - began
        self.checks.check(f"the unit went to where its commands come, after {took:.0f} s",
                          self.owner() is near and took > 25)
        began, other_path = time.monotonic(), Host([owner], "other-path")
        while time.monotonic() - began < 45:
            for _ in range(100):
                one_path.somewhere(read_16(0, 1), length=BLOCK)
                other_path.somewhere(read_16(0, 1), length=BLOCK)
        self.checks.check("and stays where two paths are used", self.owner() is near)
        one_path.close()
        other_path.close()

    def states(self, by: Node) -> dict:
        members = json.loads(by.ask("status", "--json").stdout)["cluster"]["members"]
        return {each["gateway"]: each["state"] for each in members}

    def comes_true(self, holds, limit_s: float = 10) -> bool:
        until = time.monotonic() + limit_s
        while not holds() and time.monotonic() < until:
            time.sleep(0.1)
        return holds()

    def stopped(self) -> None:
        owner = self.owner()
        self.write()
        owner.end()
        took = self.write()
        print(f"the owner stops: the next write takes {took * 1000:.0f} ms")
        self.checks.check("a gateway that stops gives its units away at once", took < FAILOVER_LIMIT_S)
        took = owner.start()
        self.checks.check(f"it starts again ({took:.1f} s)", took < 20)
        self.verify("a stop")

    def killed(self) -> None:
        times = []
        for _ in range(self.rounds):
            owner = self.owner()
            for _ in range(20):
                self.write()
            owner.end(signal.SIGKILL)
            times.append(self.write())
            for _ in range(20):
                self.write()
            self.verify(f"{owner.name} was killed")
            owner.start()
        print(f"the owner is killed: the next write is GOOD after {statistics.median(times):.1f} s at the median of "
              f"{len(times)}, {max(times):.1f} s at the worst")
        self.checks.check("another gateway takes over", max(times) < FAILOVER_LIMIT_S)

    def stands_still(self) -> None:
        """A gateway that wakes when others have taken over answers nothing and writes nothing."""
        owner = self.owner()
        for _ in range(5):
            self.write()
        # What it will find in its socket when it wakes: a write to a block that somebody else has written by then.
        sleeper = Host([owner], "one")
        sleeper.session(owner)
        owner.suspend()
        block = (self.number + 1) % 64
        tag = sleeper.session(owner).submit(write_16(block, 1, False), stamp(666))
        took = self.write()
        owner.send(signal.SIGCONT)
        try:
            told = str(sleeper.session(owner).answer())
        except (ConnectionLost, OSError) as lost:
            told = type(lost).__name__
        self.checks.check(f"the gateway that stood still does not write (tag {tag}): {told}", told != "GOOD")
        self.checks.check(f"another one took over ({took:.1f} s)", took < FAILOVER_LIMIT_S)
        sleeper.close()
        self.verify("one stood still")
        until = time.monotonic() + 30
        while time.monotonic() < until and not self.reads_through(owner):
            time.sleep(0.2)
        self.checks.check("it joins again, and reads through the one that took over",
                          self.reads_through(owner) and self.owner() is not owner)

    def cached(self) -> None:
        """What a gateway kept of before is not read when the unit comes back to it, and it keeps again."""
        for node in self.nodes[:2] * 2:
            node.ask("unit", "move", "disk", "--to", node.name)
            for _ in range(70):
                self.write()
            for _ in range(3):
                self.verify(f"{node.name} has a cache")
            shown = {store["name"]: store["figures"] for store in
                     json.loads(node.ask("status", "--json").stdout)["stores"]}
            hits = shown["hot"]["ram_hit_blocks"]
            self.checks.check(f"{node.name} reads from its cache: {hits} blocks", hits > 0)

    def reads_through(self, node: Node) -> bool:
        try:
            return self.other.through(node, read_16(0, 1), length=BLOCK).status == GOOD
        except (ConnectionLost, OSError):
            self.other.drop(node)
            return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    parser.add_argument("--rounds", type=int, default=3, help="of planned moves, and of kills")
    parser.add_argument("--caches", action="store_true", help="two of the gateways have a cache over the image")
    parser.add_argument("--long", action="store_true", help="also moves by load, which take two minutes, and "
                        "10,000 rounds of COMPARE AND WRITE")
    options = parser.parse_args()
    checks = Checks()
    with (Cluster(images={IMAGE: "64M"}) as cluster,
          gateways(options.sluice, cluster, len(NAMES), hosts_move=True, caches=options.caches) as nodes):
        run = Run(checks, nodes, options)
        try:
            for each in (run.identity, run.paths, run.owed_data, run.reservations, run.compare_and_write, run.planned,
                         run.chosen, run.drained, run.stopped, run.killed, run.stands_still):
                each()
            if options.caches:
                run.cached()
            if options.long:
                run.by_load()
        except (TimeoutError, ConnectionLost, OSError, AssertionError, CommandFailed, TargetError) as wrong:
            checks.check(f"{type(wrong).__name__}: {wrong}", False)
            for node in nodes:
                print(f"-- {node.name}\n{node.last_lines(15)}")
        finally:
            run.one.close()
            run.other.close()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
