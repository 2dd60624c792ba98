#!/usr/bin/env python3
"""Kills sluice (SIGKILL) in the middle of a write load, starts it again, and checks what must have survived.

A write is durable once it was acknowledged with FUA, once a SYNCHRONIZE CACHE that was sent after its acknowledgement
is acknowledged, or at its acknowledgement where the unit has no volatile cache (WCE = 0). Every logical block must then
hold that write or a later one, never an older one, another block's or a mixture. Persistent reservations made with
APTPL must survive with key, holder and type, and still keep strangers out.
"""

import argparse
import random
import struct
import sys
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from initiator import (RESERVATION_CONFLICT, CommandFailed, ConnectionLost, Initiator,  # noqa: E402
                       persistent_reserve_in, persistent_reserve_out, read_16, registration, synchronize_cache_16,
                       write_16)
from targets import INITIATOR, Sluice, Target, TargetError, Tgt, Unit  # noqa: E402

BLOCK, BLOCKS_PER_SLOT, SLOTS = 512, 16, 512
DEPTH = 16
STRANGER = "iqn.2026-11.io.sluice:stranger"
REGISTER, RESERVE, REGISTER_AND_IGNORE = 0x00, 0x01, 0x06
READ_KEYS, READ_RESERVATION = 0x00, 0x01
WRITE_EXCLUSIVE = 0x01
# A journal that wraps around within a round, on flash and in memory.
CACHES = {"write-back": {"ram": "16MiB", "mode": "write-back",
                         "flash.path": "flash", "flash.size": "96MiB", "flash.dirty": "16MiB"},
          "write-back-memory": {"ram": "16MiB", "mode": "write-back", "volatile_dirty": "16MiB"}}


class Lost(Exception):
    """Something that had to survive did not."""


def block_data(lba: int, sequence: int) -> bytes:
    return struct.pack(">QQ", lba, sequence) * (BLOCK // 16)


class Slot:
    """What may be found in one extent: `durable` or any sequence number issued after it."""

    def __init__(self):
        self.durable = 0
        self.acknowledged = 0  # the last write that was answered
        self.issued = 0
        self.busy = False


class Model:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.slots = [Slot() for _ in range(SLOTS)]
        self.sequence = 0
        self.writes = self.syncs = 0

    def check(self, number: int, data: bytes) -> None:
        slot = self.slots[number]
        for index in range(BLOCKS_PER_SLOT):
            lba = number * BLOCKS_PER_SLOT + index
            block = data[index * BLOCK:(index + 1) * BLOCK]
            where, sequence = struct.unpack_from(">QQ", block)
            if sequence == 0 and slot.durable == 0 and block == bytes(BLOCK):
                continue
            if block != block_data(lba, sequence) or where != lba:
                raise Lost(f"LBA {lba} holds what was never written there: {block[:32].hex(' ')}")
            if not slot.durable <= sequence <= slot.issued:
                raise Lost(f"LBA {lba} holds write {sequence}, but {slot.durable} was durable ({slot.issued} issued)")

    def settle(self, number: int, data: bytes) -> None:
        """After a check: what is there now stays, and writes that were lost with good reason may not come back."""
        found = [struct.unpack_from(">QQ", data, index * BLOCK)[1] for index in range(BLOCKS_PER_SLOT)]
        slot = self.slots[number]
        slot.durable = slot.acknowledged = min(found)
        slot.issued = max(found)
        slot.busy = False


class Load:
    """Pipelined writes and flushes over one session, until the connection breaks."""

    def __init__(self, model: Model, session: Initiator, volatile_cache: bool):
        self.model, self.session, self.volatile_cache = model, session, volatile_cache
        self.writes: dict[int, tuple[Slot, int, bool]] = {}
        self.syncs: dict[int, list[tuple[Slot, int]]] = {}

    def run(self) -> None:
        while True:
            while len(self.writes) + len(self.syncs) < DEPTH and self.session.window_open:
                self._submit()
            answer = self.session.answer().must_be_good("load")
            if answer.tag in self.writes:
                slot, sequence, durable = self.writes.pop(answer.tag)
                slot.acknowledged, slot.busy = sequence, False
                self._survives(slot, sequence if durable else 0)
                self.model.writes += 1
            else:
                for slot, sequence in self.syncs.pop(answer.tag):
                    self._survives(slot, sequence)
                self.model.syncs += 1

    @staticmethod
    def _survives(slot: Slot, sequence: int) -> None:
        slot.durable = max(slot.durable, sequence)

    def _submit(self) -> None:
        model = self.model
        if model.random.random() < 0.02:
            promised = [(slot, slot.acknowledged) for slot in model.slots if slot.acknowledged > slot.durable]
            self.syncs[self.session.submit(synchronize_cache_16())] = promised
            return
        number = model.random.randrange(SLOTS)
        slot = model.slots[number]
        if slot.busy:
            return
        model.sequence += 1
        slot.busy, slot.issued = True, model.sequence
        fua = model.random.random() < 0.3
        first = number * BLOCKS_PER_SLOT
        data = b"".join(block_data(first + index, model.sequence) for index in range(BLOCKS_PER_SLOT))
        tag = self.session.submit(write_16(first, BLOCKS_PER_SLOT, fua), data)
        self.writes[tag] = (slot, model.sequence, fua or not self.volatile_cache)


def open_session(target: Target, name: str = INITIATOR, number: int = 1) -> Initiator:
    session = Initiator(target.port, target.iqn, name, target.lun, number)
    for _ in range(8):  # unit attentions of the new nexus
        if session.execute(bytes(6)).status == 0:
            return session
    raise CommandFailed("TEST UNIT READY does not become good")


def has_volatile_cache(session: Initiator) -> bool:
    """WCE of the caching mode page [SBC-3 6.4.5]; without the page, the careful answer."""
    answer = session.execute(bytes([0x1A, 0x08, 0x08, 0, 64, 0]), data_in_length=64)
    return answer.status != 0 or len(answer.data) < 7 or bool(answer.data[6] & 0x04)


class Reservation:
    """One APTPL registration and reservation whose key changes from round to round."""

    def __init__(self):
        self.key, self.attempted = 0, 0

    def change(self, session: Initiator, new_key: int) -> None:
        self.attempted = new_key
        action = REGISTER if self.key else REGISTER_AND_IGNORE
        session.execute(persistent_reserve_out(action), registration(self.key, new_key, True)).must_be_good("REGISTER")
        if not self.key:
            session.execute(persistent_reserve_out(RESERVE, WRITE_EXCLUSIVE),
                            registration(new_key, 0, False)).must_be_good("RESERVE")
        self.key = new_key

    def check(self, target: Target, session: Initiator) -> None:
        if not self.key:
            return
        keys = session.execute(persistent_reserve_in(READ_KEYS), data_in_length=512).must_be_good("READ KEYS").data
        found = [struct.unpack_from(">Q", keys, at)[0] for at in range(8, 8 + struct.unpack_from(">I", keys, 4)[0], 8)]
        if found not in ([self.key], [self.attempted]):
            raise Lost(f"registered keys are {found}; {self.key:#x} or {self.attempted:#x} had to survive")
        self.key = self.attempted = found[0]
        data = session.execute(persistent_reserve_in(READ_RESERVATION), data_in_length=512).must_be_good("READ").data
        if len(data) < 24 or struct.unpack_from(">Q", data, 8)[0] != self.key or data[21] & 0xF != WRITE_EXCLUSIVE:
            raise Lost(f"the reservation is {data.hex(' ')}; a write exclusive one by {self.key:#x} had to survive")
        with open_session(target, STRANGER) as stranger:
            status = stranger.execute(write_16(0, 1, False), bytes(BLOCK)).status
            if status != RESERVATION_CONFLICT:
                raise Lost(f"a stranger's write got status {status:#04x} instead of RESERVATION CONFLICT")


def check_all(model: Model, session: Initiator) -> None:
    for number in range(SLOTS):
        command = read_16(number * BLOCKS_PER_SLOT, BLOCKS_PER_SLOT)
        data = session.execute(command, data_in_length=BLOCKS_PER_SLOT * BLOCK).must_be_good("READ").data
        model.check(number, data)
        model.settle(number, data)


def one_round(target: Target, model: Model, reservation: Reservation | None) -> None:
    """A load that SIGKILL ends at a random moment, a new start, and a check of everything."""
    target.start()
    with open_session(target) as session:
        if reservation:
            reservation.check(target, session)
        check_all(model, session)
        if reservation:
            reservation.change(session, model.random.getrandbits(63) | 1)
        volatile_cache = has_volatile_cache(session)
        killer = threading.Timer(model.random.uniform(0.02, 0.5), target.process.kill)
        killer.start()
        try:
            Load(model, session, volatile_cache).run()
        except ConnectionLost:
            pass
        finally:
            killer.join()
            target.kill()


def stop_cleanly(target: Target, model: Model, reservation: Reservation | None) -> None:
    """At the end: what the last crash left, then an orderly stop, whose exit status must be 0."""
    target.start()
    with open_session(target) as session:
        if reservation:
            reservation.check(target, session)
        check_all(model, session)
        session.log_out()
    status = target.stop()
    if isinstance(target, Sluice) and status != 0:
        raise Lost(f"exit status {status} after SIGTERM")


def run(options: argparse.Namespace) -> None:
    model = Model(options.seed)
    if options.target == "tgt":
        target, reservation = Tgt(size=SLOTS * BLOCKS_PER_SLOT * BLOCK), None  # it has no APTPL
    else:
        cache = CACHES.get(options.target, {})
        size = f"{SLOTS * BLOCKS_PER_SLOT * BLOCK >> 20}MiB"
        target = Sluice(options.sluice, [Unit("file", size, {"thin": True}, cache=cache)])
        reservation = Reservation()
    began = time.monotonic()
    with target.kept():
        for number in range(options.rounds):
            try:
                one_round(target, model, reservation)
            except (Lost, CommandFailed, ConnectionLost, TargetError) as failure:
                tail = target.log_tail() if isinstance(target, Sluice) else ""
                raise Lost(f"round {number}: {failure}\n{tail}") from failure
        stop_cleanly(target, model, reservation)
    print(f"crash: {options.rounds} rounds, {model.writes} acknowledged writes, {model.syncs} flushes, nothing lost, "
          f"{time.monotonic() - began:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    parser.add_argument("--target", choices=["sluice", *CACHES, "tgt"], default="sluice")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    try:
        run(options)
    except (Lost, CommandFailed, ConnectionLost, TargetError, OSError) as failure:
        print(f"crash: seed {options.seed}: {failure}", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    print(f"{options.rounds} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
