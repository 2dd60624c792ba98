#!/usr/bin/env python3
"""A thousand connections of every hostile shape beside two sessions of verified load: the gateway's memory stays within
the sum that docs/operations.md states, logins with a secret go through in bounded time, and no I/O goes wrong. Prints
how much the load loses, which depends on the machine and is not judged. usage: hostile.py PROGRAM LOAD [SECONDS]"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "harness"))

import wire  # noqa: E402
from targets import Chap, Sluice, Unit, spawn  # noqa: E402

HERE = Path(__file__).resolve().parent
LOAD, ATTACKER = "iqn.2026-11.io.sluice:load", "iqn.2026-11.io.sluice:attacker"
CONNECTIONS = 1000
MIB = 1 << 20
BUFFERS, STORE = 64 * MIB, 64 * MIB
PER_CONNECTION, PER_SESSION = 32 << 10, 512 << 10  # as docs/operations.md states
LOGIN_LIMIT_S = 10


class Gateway(Sluice):
    def write_configuration(self, units, chap, initiators):
        super().write_configuration(units, chap, initiators)
        text = self.config.read_text()
        self.config.write_text(text.replace("[gateway]\n", f'[gateway]\nbuffers = "{BUFFERS // MIB}MiB"\n', 1))


def resident(pid: int) -> int:
    return 1024 * int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def load(program: Path, gateway: Gateway, chap: Chap, seconds: float) -> subprocess.Popen:
    words = [program, "--port", gateway.port, "--target", gateway.iqn, "--initiator", LOAD, "--chap-user", chap.user,
             "--chap-secret", chap.secret, "--sessions", 2, "--depth", 16, "--extent", 4096, "--write-percent", 50,
             "--verify", "--region", STORE, "--seconds", seconds]
    return spawn(words, stdout=subprocess.PIPE, text=True)


def outcome(of: subprocess.Popen, seconds: float) -> dict:
    text, _ = of.communicate(timeout=seconds + 120)
    return json.loads(text)


class Judge:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def expect(self, good: bool, what: str) -> None:
        print(f"{'ok  ' if good else 'FAIL'} {what}", flush=True)
        self.passed, self.failed = self.passed + good, self.failed + (not good)


def attack(program: Path, load_program: Path, seconds: float, judge: Judge) -> None:
    chap = Chap()
    with Gateway(program, [Unit(size=f"{STORE // MIB}MiB")], chap=chap, initiators=[LOAD, ATTACKER]) as gateway:
        begin = resident(gateway.pid)
        quiet = outcome(load(load_program, gateway, chap, max(2.0, seconds / 4)), seconds)
        under = load(load_program, gateway, chap, seconds)
        time.sleep(0.5)
        swarm = spawn([sys.executable, HERE / "swarm.py", gateway.port, gateway.iqn, CONNECTIONS, seconds, chap.user,
                       chap.secret, ATTACKER], stdout=subprocess.PIPE, text=True)
        most, logins = 0, []
        end = time.monotonic() + seconds
        number = 1
        while time.monotonic() < end:
            most = max(most, resident(gateway.pid))
            began = time.monotonic()
            try:
                wire.log_in(gateway.port, gateway.iqn, LOAD, chap.user, chap.secret, 0x700000 + number).close()
                logins.append(time.monotonic() - began)
            except (OSError, wire.Refused) as error:
                judge.expect(False, f"a login with the secret: {error}")
            number += 1
            time.sleep(0.1)
        counts = json.loads(swarm.communicate(timeout=60)[0])
        hostile = outcome(under, seconds)
        after = resident(gateway.pid)
        print(f"the swarm: {json.dumps(counts)}")
        ratio = hostile["iops"] / quiet["iops"]
        print(f"IOPS alone {quiet['iops']:.0f}, beside it {hostile['iops']:.0f}: {ratio:.2f}; "
              f"p99 {quiet['latency_us']['p99']:.0f} and {hostile['latency_us']['p99']:.0f} us")
        sessions = 2 + 3 + 1
        stated = begin + STORE + BUFFERS + CONNECTIONS * PER_CONNECTION + sessions * PER_SESSION
        judge.expect(counts.get("connections", 0) >= CONNECTIONS * 0.9, "the swarm came")
        judge.expect(most <= stated, f"memory {most / MIB:.0f} MiB of at most {stated / MIB:.0f} ({begin / MIB:.0f} at "
                     f"the start, {after / MIB:.0f} after)")
        judge.expect(bool(logins) and max(logins) <= LOGIN_LIMIT_S,
                     f"{len(logins)} logins with the secret, the slowest {max(logins, default=0):.2f} s, "
                     f"half within {sorted(logins)[len(logins) // 2] if logins else 0:.3f} s")
        for name, of in (("alone", quiet), ("beside the swarm", hostile)):
            wrong = of["errors"] + of["mismatches"]
            judge.expect(wrong == 0 and of["writes"] > 0, f"load {name}: {of['reads']} reads, {of['writes']} writes, "
                         f"{wrong} wrong {of['first_error']}")
        judge.expect(gateway.stop() == 0, "the gateway ends in order")


def main() -> int:
    program, load_program = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 10
    judge = Judge()
    attack(program, load_program, seconds, judge)
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 0 if judge.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
