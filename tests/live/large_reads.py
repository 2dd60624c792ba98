#!/usr/bin/env python3
"""Reads of more than there is memory to copy: by hosts that do not take what they asked for until later, and in one
command. No session ends, and what comes is right. usage: large_reads.py PROGRAM"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, one_unit, own_gateway, play  # noqa: E402
from initiator import BUSY, GOOD, Initiator, read_16, test_unit_ready, write_16  # noqa: E402
from live import NAME  # noqa: E402

MIB = 1 << 20
BLOCKS = MIB // 512
SIZE_MIB, LONG_MIB = 320, 300
SESSIONS, DEPTH = 4, 128
TASK_SET_FULL = 0x28


def content(number):
    return number.to_bytes(2, "big") * (MIB // 2)


def host(gateway, number):
    made = Initiator(int(gateway.portal.rsplit(":", 1)[1]), NAME, "iqn.2026-11.io.sluice:host", number=number)
    for _ in range(4):  # unit attentions
        if made.execute(test_unit_ready()).status == GOOD:
            return made
    raise AssertionError("the unit does not become ready")


def fill(scene):
    gateway, checks = scene
    with host(gateway, 1) as one:
        wrong = [n for n in range(SIZE_MIB) if one.execute(write_16(n * BLOCKS, BLOCKS, False), content(n)).status]
    checks.check("the unit is filled", not wrong)


def late_takers(scene):
    gateway, checks = scene
    hosts = [host(gateway, 1 + n) for n in range(SESSIONS)]
    asked = [{one.submit(read_16(n * BLOCKS, BLOCKS), data_in_length=MIB): n for n in range(DEPTH)} for one in hosts]
    ends = {GOOD: 0, BUSY: 0, TASK_SET_FULL: 0}
    wrong = 0
    for one, numbers in zip(hosts, asked):
        for _ in range(DEPTH):
            answer = one.answer()
            ends[answer.status] = ends.get(answer.status, 0) + 1
            wrong += answer.status == GOOD and answer.data != content(numbers[answer.tag])
    checks.check(f"{SESSIONS} sessions have {DEPTH} answers each: {ends}", sum(ends.values()) == SESSIONS * DEPTH)
    checks.check("none but GOOD, BUSY and TASK SET FULL", len(ends) == 3)
    checks.check("most of them are GOOD", ends[GOOD] >= SESSIONS * DEPTH / 2)
    checks.check("what came is right", wrong == 0)
    alive = [one.execute(test_unit_ready()).status for one in hosts]
    checks.check(f"all sessions live on: {alive}", alive == [GOOD] * SESSIONS)
    for one in hosts:
        one.log_out()


def resident(gateway):
    text = pathlib.Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) // 1024


def one_command(scene):
    gateway, checks = scene
    with host(gateway, 1) as one:
        before = resident(gateway)
        answer = one.execute(read_16(5 * BLOCKS, LONG_MIB * BLOCKS), data_in_length=LONG_MIB * MIB)
        grown = resident(gateway) - before
        right = all(answer.data[n * MIB:(n + 1) * MIB] == content(5 + n) for n in range(LONG_MIB))
    checks.check(f"a READ of {LONG_MIB} MiB: {answer}, memory grows by {grown} MiB", answer.status == GOOD and right)
    checks.check("in bounded memory", grown <= 64)


def main():
    checks = Checks()
    with own_gateway(sys.argv[1], checks) as gateway:
        gateway.write('buffers = "64MiB"\n' + one_unit(NAME, type="ram", size=f"{SIZE_MIB}MiB"))
        gateway.start()
        play([fill, late_takers, one_command], (gateway, checks), checks)
        checks.check("an orderly stop", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
