#!/usr/bin/env python3
"""A thousand connections of every hostile shape beside two sessions of verified load: the gateway's memory stays in the
sum that docs/operations.md states, logins with a secret go through within a second, from a flooding address as from
another, and no I/O goes wrong. How much the load loses is printed; it is judged only when asked, by --line, because
that takes a quiet machine.

The gateway has a core of its own. The load runs on another with room to spare, and the swarm takes what the load leaves
of that one; with one round, which is too short for figures, they share it alike. Slices of these kinds alternate, and
the medians are compared: the load alone; beside the swarm at a listener that only accepts and swallows; beside the
swarm at the gateway, from 200 addresses, and from one. A slice tries logins all the time. usage: hostile.py PROGRAM
LOAD [--seconds OF_A_SLICE] [--rounds N] [--line RATIO]"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "harness"))

import wire  # noqa: E402
from targets import Chap, Sluice, Unit, spawn, wait_for_line  # noqa: E402

HERE = Path(__file__).resolve().parent
LOAD, ATTACKER = "iqn.2026-11.io.sluice:load", "iqn.2026-11.io.sluice:attacker"
CONNECTIONS = 1000
MIB = 1 << 20
BUFFERS, STORE = 64 * MIB, 64 * MIB
PER_CONNECTION, PER_SESSION = 32 << 10, 512 << 10  # as docs/operations.md states
LOGIN_LIMIT_S, BUSY_LOGIN_LIMIT_S = 1, 10  # where the three have the machine for themselves, and where they have not
RISE_S = 20  # for all of a swarm to come, which takes a second where it has a core
DEPTH = 4  # of each session of the load, so that it leaves some of its core
FLOODING, OTHER = "127.0.0.2", "127.0.0.1"
ADDRESSES = {"alone": 0, "listener": 200, "swarm": 200, "one address": 1}


class Gateway(Sluice):
    def write_configuration(self, units, chap, initiators):
        super().write_configuration(units, chap, initiators)
        text = self.config.read_text()
        self.config.write_text(text.replace("[gateway]\n", f'[gateway]\nbuffers = "{BUFFERS // MIB}MiB"\n', 1))


class Judge:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def expect(self, good: bool, what: str) -> None:
        print(f"{'ok  ' if good else 'FAIL'} {what}", flush=True)
        self.passed, self.failed = self.passed + good, self.failed + (not good)


def resident(pid: int) -> int:
    return 1024 * int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bout:
    """Slices of every kind at one gateway."""

    def __init__(self, gateway: Gateway, load_program: Path, chap: Chap, seconds: float, core: int, leftover: bool):
        self.gateway, self.load_program, self.chap, self.seconds, self.core = gateway, load_program, chap, seconds, core
        self.attackers = ["chrt", "--idle", "0"] if leftover else []  # they take only what others leave
        self.most_memory = 0
        self.logins: dict[str, list[float]] = {}  # seconds, by kind of slice and address
        self.refusals: list[str] = []
        self.loads: dict[str, list[dict]] = {kind: [] for kind in ADDRESSES}
        self.cpu: dict[str, list[tuple]] = {kind: [] for kind in ADDRESSES}  # gateway, load, swarm
        self.swarms: list[dict] = []
        self.number = 0
        self.seen: dict = {}  # what status told of the strangers
        self.kicked = 0

    def load(self) -> subprocess.Popen:
        words = [self.load_program, "--port", self.gateway.port, "--target", self.gateway.iqn, "--initiator", LOAD,
                 "--chap-user", self.chap.user, "--chap-secret", self.chap.secret, "--sessions", 2, "--depth", DEPTH,
                 "--extent", 4096, "--write-percent", 50, "--verify", "--region", STORE, "--seconds", self.seconds]
        return spawn(words, self.core, stdout=subprocess.PIPE, text=True)

    @contextmanager
    def swarm(self, kind: str):
        if kind == "alone":
            yield None
            return
        listener = None
        port, secret = self.gateway.port, [self.chap.user, self.chap.secret, ATTACKER]
        if kind == "listener":
            listener = spawn([*self.attackers, sys.executable, HERE / "swallow.py"], self.core, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
            port, secret = int(listener.stdout.readline()), []
        flood = spawn([*self.attackers, sys.executable, HERE / "swarm.py", port, self.gateway.iqn, CONNECTIONS,
                       ADDRESSES[kind], self.seconds + 1, *secret], self.core, stdout=subprocess.PIPE, text=True)
        try:
            wait_for_line(flood, "up", RISE_S)
            yield flood
            counts = json.loads(flood.communicate(timeout=60)[0])
            self.swarms.append({"kind": kind, **counts})
        finally:
            for each in (flood, listener):
                if each is not None:
                    each.kill()
                    each.wait()

    def try_login(self, kind: str, source: str) -> None:
        self.number += 1
        began = time.monotonic()
        try:
            wire.log_in(self.gateway.port, self.gateway.iqn, LOAD, self.chap.user, self.chap.secret,
                        0x700000 + self.number, source).close()
            where = "its own" if source == OTHER else "a flooding"
            self.logins.setdefault(f"{kind}, from {where} address", []).append(time.monotonic() - began)
        except (OSError, wire.Refused) as error:
            self.refusals.append(f"{kind}, from {source}, after {time.monotonic() - began:.2f} s: {error}")

    def operate(self, *words: str):
        """What a command of the operator prints as JSON."""
        command = [self.gateway.program, *words, "--json", "--control", self.gateway.folder / "control.sock"]
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
        return json.loads(done.stdout)

    def look_and_kick(self) -> None:
        self.seen = self.operate("status")["connections"]
        self.kicked = self.operate("session", "kick", "--address", FLOODING)["closed"]

    def slice(self, kind: str) -> None:
        with self.swarm(kind) as flood:
            before = cpu_s(self.gateway.pid), cpu_s(flood.pid) if flood else 0
            load = self.load()
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                self.most_memory = max(self.most_memory, resident(self.gateway.pid))
                for source in (OTHER, FLOODING):
                    self.try_login(kind, source)
                time.sleep(0.1)
            used = cpu_s(self.gateway.pid) - before[0], cpu_s(flood.pid) - before[1] if flood else 0
            if kind == "swarm":
                self.look_and_kick()
            text, _ = load.communicate(timeout=self.seconds + 60)
            result = json.loads(text)
        self.loads[kind].append(result)
        self.cpu[kind].append((used[0], result["client"]["cpu_s"], used[1]))

    def median(self, kind: str, value) -> float:
        return statistics.median(value(each) for each in self.loads[kind])

    def report(self, kinds: list[str]) -> float:
        """Prints all figures; the smaller ratio of the IOPS beside a swarm at the gateway to those alone."""
        alone = self.median("alone", lambda of: of["iops"])
        for kind in kinds:
            iops = self.median(kind, lambda of: of["iops"])
            times = ", ".join(f"{name} {self.median(kind, lambda of, name=name: of['latency_us'][name]):.0f} us"
                              for name in ("p50", "p99", "p999"))
            used = [statistics.median(column) / self.seconds for column in zip(*self.cpu[kind])]
            print(f"{kind:12} {iops:8.0f} IOPS, {iops / alone:.2f} of alone; {times}; of a core: "
                  f"gateway {used[0]:.2f}, load {used[1]:.2f}, swarm {used[2]:.2f}")
        for each in self.swarms:
            print(f"the swarm: {json.dumps(each)}")
        return min(self.median(kind, lambda of: of["iops"]) for kind in ("swarm", "one address")) / alone


def attack(options, judge: Judge) -> None:
    chap = Chap()
    cores = sorted(os.sched_getaffinity(0))
    kinds = list(ADDRESSES) if options.rounds > 1 else [kind for kind in ADDRESSES if kind != "listener"]
    units = [Unit(size=f"{STORE // MIB}MiB")]
    with Gateway(options.program.resolve(), units, core=cores[0], chap=chap, initiators=[LOAD, ATTACKER]) as gateway:
        begin = resident(gateway.pid)
        bout = Bout(gateway, options.load.resolve(), chap, options.seconds, cores[-1], options.rounds > 1)
        os.sched_setaffinity(0, {cores[-1]})
        for _ in range(options.rounds):
            for kind in kinds:
                bout.slice(kind)
        after = resident(gateway.pid)
        ratio = bout.report(kinds)
        limit = LOGIN_LIMIT_S if options.rounds > 1 else BUSY_LOGIN_LIMIT_S
        sessions = 2 + 3 + 2
        stated = begin + STORE + BUFFERS + CONNECTIONS * PER_CONNECTION + sessions * PER_SESSION
        judge.expect(all(each.get("connections", 0) >= CONNECTIONS * 0.9 for each in bout.swarms), "the swarms came")
        judge.expect(bout.most_memory <= stated, f"memory {bout.most_memory / MIB:.0f} MiB of at most "
                     f"{stated / MIB:.0f} ({begin / MIB:.0f} at the start, {after / MIB:.0f} after)")
        seen = bout.seen
        stages = {each["stage"] for each in seen["oldest"]}
        known = {"silent", "login", "authentication", "discovery"}
        judge.expect(seen["count"] > len(seen["oldest"]) == 100 and stages <= known and "0302" in seen["refused"],
                     f"status shows {seen['count']} connections without a session, the oldest in {sorted(stages)}, "
                     f"from {len(seen['addresses'])} addresses at least, refused {seen['refused']}")
        judge.expect(bout.kicked > 0, f"{bout.kicked} connections of one address are closed by the operator")
        for each in bout.refusals:
            judge.expect(False, f"a login with the secret: {each}")
        for kind, times in sorted(bout.logins.items()):
            times.sort()
            judge.expect(times[-1] <= limit, f"{len(times)} logins with the secret, {kind}: half within "
                         f"{times[len(times) // 2]:.3f} s, the slowest {times[-1]:.2f} s")
        for kind in kinds:
            wrong = sum(of["errors"] + of["mismatches"] for of in bout.loads[kind])
            done = sum(of["reads"] + of["writes"] for of in bout.loads[kind])
            judge.expect(wrong == 0 and done > 0, f"load, {kind}: {done} commands, {wrong} wrong")
        if options.line is not None:
            judge.expect(ratio >= options.line, f"IOPS beside a swarm are {ratio:.2f} of those alone, at least "
                         f"{options.line}")
        judge.expect(gateway.stop() == 0, "the gateway ends in order")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("load", type=Path)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--line", type=float)
    judge = Judge()
    attack(parser.parse_args(), judge)
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 0 if judge.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
