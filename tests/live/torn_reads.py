#!/usr/bin/env python3
"""Reads of a RAM store, which lends its memory to the socket, against COMPARE AND WRITE of the same blocks for two
seconds: each block that is read is one of those that were written. usage: torn_reads.py PROGRAM"""
import multiprocessing
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, one_unit, own_gateway, play  # noqa: E402
from initiator import GOOD, Initiator, read_16, test_unit_ready  # noqa: E402
from live import NAME  # noqa: E402

SECONDS = 2
BLOCK, BLOCKS, DEPTH, READERS = 512, 16, 8, 2


def host(port, number):
    made = Initiator(port, NAME, "iqn.2026-11.io.sluice:host", number=number)
    for _ in range(4):  # unit attentions
        if made.execute(test_unit_ready()).status == GOOD:
            return made
    raise AssertionError("the unit does not become ready")


def compare_and_write(lba):
    return bytes([0x89, 0]) + lba.to_bytes(8, "big") + bytes([0, 0, 0, 1, 0, 0])


def write(port, counts):
    """Another octet in the whole of a block again and again, at all blocks side by side."""
    with host(port, 1) as one:
        octets = [0] * BLOCKS
        at = {}

        def go_on(lba):
            before, octets[lba] = octets[lba], (octets[lba] + 1) % 256
            data = bytes([before]) * BLOCK + bytes([octets[lba]]) * BLOCK
            at[one.submit(compare_and_write(lba), data)] = lba

        for lba in range(BLOCKS):
            go_on(lba)
        done, end = 0, time.monotonic() + SECONDS
        while at:
            answer = one.answer().must_be_good("COMPARE AND WRITE")
            done += 1
            lba = at.pop(answer.tag)
            if time.monotonic() < end:
                go_on(lba)
        counts.put(("written", done, 0))
        one.log_out()


def read(port, number, counts):
    with host(port, number) as one:
        done = torn = 0
        for _ in range(DEPTH):
            one.submit(read_16(0, BLOCKS), data_in_length=BLOCK * BLOCKS)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            data = one.answer().must_be_good("READ").data
            blocks = [data[at:at + BLOCK] for at in range(0, len(data), BLOCK)]
            torn += sum(block != block[:1] * BLOCK for block in blocks)
            done += len(blocks)
            one.submit(read_16(0, BLOCKS), data_in_length=BLOCK * BLOCKS)
        for _ in range(DEPTH):
            one.answer()
        counts.put(("read", done, torn))
        one.log_out()


def stress(scene):
    gateway, check = scene
    port = int(gateway.portal.rsplit(":", 1)[1])
    counts = multiprocessing.Queue()
    all_of_them = [multiprocessing.Process(target=write, args=(port, counts))]
    all_of_them += [multiprocessing.Process(target=read, args=(port, 2 + n, counts)) for n in range(READERS)]
    for each in all_of_them:
        each.start()
    told = [counts.get(timeout=60) for _ in all_of_them]
    for each in all_of_them:
        each.join(60)
    sums = {what: sum(done for told_what, done, _ in told if told_what == what) for what in ("written", "read")}
    torn = sum(each[2] for each in told)
    check(f"of {sums['read']} blocks read while {sums['written']} were written none is torn: {torn}", torn == 0)
    check("that was some of each", sums["read"] >= 500 and sums["written"] >= 100)


def main():
    checks = Checks()
    with own_gateway(sys.argv[1], checks) as gateway:
        gateway.write(one_unit(NAME, type="ram", size="16MiB"))
        gateway.start()
        play([stress], (gateway, checks.check), checks)
        checks.check("an orderly stop", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
