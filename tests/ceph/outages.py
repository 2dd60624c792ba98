#!/usr/bin/env python3
"""What initiators see when a Ceph cluster fails under a unit: the table of docs/ceph.md, row by row, on a real cluster.

usage: outages.py [PROGRAM] [--only NAME ...]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster, ClusterError  # noqa: E402
from initiator import (ABORT_TASK, LOGICAL_UNIT_RESET, Answer, Initiator, read_16,  # noqa: E402
                       read_capacity_16, test_unit_ready, write_16)
from targets import INITIATOR, Sluice, TargetError, Unit  # noqa: E402

BLOCK = 512
DEADLINE_S = 6
STALLED, GONE = "02/04/01", "02/3a/00"
TIMED_OUT = "0b/08/01"
FULL = "writes are refused: the pool or the cluster is full"
WAITS = "writes get no answer although the cluster answers"


class Wrong(Exception):
    """Something was answered otherwise than the table says."""


def expect(found, wanted, what: str) -> None:
    if found != wanted:
        raise Wrong(f"{what}: {found} instead of {wanted}")


def wait_until(holds, limit_s: float, what: str) -> float:
    """Until it holds; how long that took."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > limit_s:
            raise Wrong(f"{what}: not within {limit_s} s")
        time.sleep(0.25)
    return time.monotonic() - started


class Bench:
    """One gateway over one cluster; a LUN for each test."""

    def __init__(self, program: Path, cluster: Cluster, names: list[str]):
        self.cluster, self.names = cluster, names
        units = [Unit("rbd", store=cluster.store_keys(name, create=True, size="64MiB", deadline=f"{DEADLINE_S} s"))
                 for name in names]
        self.gateway = Sluice(program, units)

    def session(self, name: str, number: int = 1) -> Initiator:
        session = Initiator(self.gateway.port, self.gateway.iqn, INITIATOR, self.names.index(name), number)
        wait_until(lambda: ready(session) == "GOOD", 30, "the unit serves")  # after the unit attentions
        return session

    def store(self, name: str) -> dict:
        done = subprocess.run([self.gateway.program, "status", "--json", "--control",
                               self.gateway.folder / "control.sock"], capture_output=True, text=True, timeout=30,
                              check=True)
        return json.loads(done.stdout)["stores"][self.names.index(name)]


def health(bench: Bench, name: str) -> str:
    return bench.store(name)["health"]


def write(session: Initiator, lba: int, value: int) -> str:
    return str(session.execute(write_16(lba, 1, False), bytes([value]) * BLOCK))


def read(session: Initiator, lba: int) -> Answer:
    return session.execute(read_16(lba, 1), data_in_length=BLOCK)


def must_hold(session: Initiator, lba: int, value: int) -> None:
    answer = read(session, lba)
    expect(str(answer), "GOOD", f"reading LBA {lba}")
    expect(answer.data[:1] + answer.data[-1:], bytes([value]) * 2, f"what LBA {lba} holds")


def ready(session: Initiator) -> str:
    return str(session.execute(test_unit_ready()))


# -- the rows of the table --------------------------------------------------------------------------------------------


def osd_stopped(bench: Bench) -> None:
    """The OSDs do not answer for 60 s."""
    with bench.session("osd_stopped") as session, bench.session("osd_stopped", 2) as other:
        expect(write(session, 0, 1), "GOOD", "a write before")
        began = time.monotonic()
        bench.cluster.kill("osd.0")
        try:
            give_up_on(bench, session, other, began)
        finally:
            bench.cluster.up("osd.0")
        for each in (session, other):
            took = wait_until(lambda each=each: ready(each) == "GOOD", 120, "TEST UNIT READY is GOOD again")
        # What was given up has landed by now, and what is written from here on stays.
        must_hold(session, 0, 2)
        for lba in (0, 8, 16):
            expect(write(other, lba, 4), "GOOD", "a write afterwards")
        time.sleep(1)
        for lba in (0, 8, 16):
            must_hold(session, lba, 4)
        print(f"  served again {took:.1f} s after the OSD was started")


def give_up_on(bench: Bench, session: Initiator, other: Initiator, began: float) -> None:
    """What two sessions see until a minute is over."""
    expect(write(session, 0, 2), TIMED_OUT, "a write to a cluster that does not answer")
    took = time.monotonic() - began
    if not DEADLINE_S - 1 < took < DEADLINE_S + 6:
        raise Wrong(f"the write was answered after {took:.1f} s, the deadline is {DEADLINE_S} s")
    expect(ready(session), STALLED, "TEST UNIT READY")
    expect(ready(other), STALLED, "TEST UNIT READY by another session")
    expect(str(other.execute(write_16(0, 1, False), bytes([3]) * BLOCK)), "BUSY", "a write to the same block")

    tag = session.submit(write_16(8, 1, False), bytes([2]) * BLOCK)
    began = time.monotonic()
    expect(session.manage(ABORT_TASK, tag), 0, "ABORT TASK")
    session.submit(write_16(16, 1, False), bytes([2]) * BLOCK)
    expect(session.manage(LOGICAL_UNIT_RESET), 0, "LOGICAL UNIT RESET")
    took = time.monotonic() - began
    if took > 20:
        raise Wrong(f"task management took {took:.1f} s")
    if bench.store("osd_stopped")["health"] == "good":
        raise Wrong("status says that the store is good")
    while time.monotonic() - began < 60:
        expect({ready(session), ready(other)} - {STALLED, "06/29/03"}, set(), "TEST UNIT READY meanwhile")
        time.sleep(1)


def mon_gone(bench: Bench) -> None:
    """The monitor is gone for ten seconds."""
    with bench.session("mon_gone") as session:
        bench.cluster.kill("mon.a")
        try:
            for value in range(1, 11):
                expect(write(session, 0, value), "GOOD", "a write without a monitor")
                must_hold(session, 0, value)
                expect(ready(session), "GOOD", "TEST UNIT READY")
                time.sleep(1)
        finally:
            bench.cluster.up("mon.a")
        expect(write(session, 0, 99), "GOOD", "a write afterwards")


def keyring_revoked(bench: Bench) -> None:
    """The cluster forgets client.sluice, and is told of it again."""
    with bench.session("keyring_revoked") as session:
        expect(write(session, 0, 1), "GOOD", "a write before")
        key = json.loads(bench.cluster.mon("auth get", entity="client.sluice", format="json"))[0]
        bench.cluster.mon("auth rm", entity="client.sluice")
        expect(write(session, 0, 2), "GOOD", "a write over connections that are open")
        # An OSD that starts anew asks for a ticket; three generations of them are good at a time.
        for _ in range(3 * TICKET_S + 5):
            ready(session)
            time.sleep(1)
        bench.cluster.kill("osd.0")
        bench.cluster.up("osd.0")
        expect(write(session, 0, 3), TIMED_OUT, "a write without a ticket")
        expect(ready(session), STALLED, "TEST UNIT READY")
        keyring = f'[client.sluice]\nkey = {key["key"]}\n'
        keyring += "".join(f'caps {kind} = "{rights}"\n' for kind, rights in key["caps"].items())
        bench.cluster.import_keys(keyring)
        # librados does not ask again once it was refused: the gateway fences that connection and makes another one.
        took = wait_until(lambda: ready(session) == "GOOD", 90, "TEST UNIT READY is GOOD again")
        print(f"  served again {took:.1f} s after the key was there again")
        expect(write(session, 0, 4), "GOOD", "a write over the write that was given up")
        expect(write(session, 8, 5), "GOOD", "a write elsewhere")
        time.sleep(1)
        must_hold(session, 0, 4)
        if bench.store("keyring_revoked")["figures"]["fences"] < 1:
            raise Wrong("status does not count the fence")
    began = time.monotonic()
    expect(bench.gateway.stop(), 0, "the status of a gateway that ends with a connection that librados gave up")
    print(f"  ended {time.monotonic() - began:.1f} s after it was told to")


def image_removed(bench: Bench) -> None:
    """The image is removed under the unit."""
    with bench.session("image_removed") as session:
        expect(write(session, 0, 1), "GOOD", "a write before")
        about = json.loads(bench.cluster.rbd("info", "rbd/image_removed", "--format", "json"))
        bench.cluster.rados("-p", "rbd", "rm", f"rbd_header.{about['id']}")
        wait_until(lambda: ready(session) == GONE, 10, "TEST UNIT READY says that the medium is gone")
        expect(write(session, 0, 2), "04/08/00", "a write to an image that was removed")
        expect(str(read(session, 0)), "04/08/00", "a read of an image that was removed")
        if "is gone" not in bench.store("image_removed")["health"]:
            raise Wrong("status does not say that the image is gone")


def image_shrunk(bench: Bench) -> None:
    """The image is resized under the unit: smaller, then larger."""
    with bench.session("image_shrunk") as session:
        expect(write(session, 100_000, 1), "GOOD", "a write near the end")
        bench.cluster.rbd("resize", "rbd/image_shrunk", "--size", "32M", "--allow-shrink", "--no-progress")
        wait_until(lambda: ready(session) == "06/2a/09", 10, "CAPACITY DATA HAS CHANGED")
        expect(write(session, 100_000, 1), "05/21/00", "a write beyond the new end")
        expect(str(read(session, 100_000)), "05/21/00", "a read beyond the new end")
        capacity = session.execute(read_capacity_16(), data_in_length=32).data
        expect(int.from_bytes(capacity[:8], "big") + 1, (32 << 20) // BLOCK, "the capacity")
        bench.cluster.rbd("resize", "rbd/image_shrunk", "--size", "128M", "--no-progress")
        wait_until(lambda: ready(session) == "06/2a/09", 10, "CAPACITY DATA HAS CHANGED")
        must_hold(session, 200_000, 0)
        expect(write(session, 200_000, 1), "GOOD", "a write near the new end")


def pool_full(bench: Bench) -> None:
    """The cluster is full."""
    with bench.session("pool_full") as session:
        expect(write(session, 0, 1), "GOOD", "a write before")
        def fill(full: float) -> None:
            for what, ratio in (("nearfull", full - 0.02), ("backfillfull", full - 0.01), ("full", full)):
                bench.cluster.mon(f"osd set-{what}-ratio", ratio=ratio)

        fill(0.03)
        try:
            fresh = iter(range(8, 131072, 8))  # each makes an object larger: what is there may be overwritten
            wait_until(lambda: write(session, next(fresh), 2) != "GOOD", 30, "the OSDs know that they are full")
            last = next(fresh)
            expect(write(session, last, 2), "07/27/07", "a write to a full pool")
            must_hold(session, 0, 1)
            expect(ready(session), "GOOD", "TEST UNIT READY")
            wait_until(lambda: health(bench, "pool_full") == FULL, 10, "health says that the pool is full")
            if FULL not in bench.gateway.log.read_text():
                raise Wrong("the log does not say that the pool is full")
        finally:
            fill(0.95)
        wait_until(lambda: write(session, last, 3) == "GOOD", 30, "writes go on when there is space")
        must_hold(session, last, 3)
        wait_until(lambda: write(session, last, 3) == "GOOD" and health(bench, "pool_full") == "good", 30,
                   "health is good again")
        if "there is space for writes again" not in bench.gateway.log.read_text():
            raise Wrong("the log does not say that there is space again")


def lock_held(bench: Bench) -> None:
    """Another client has the image's lock, and does not let go of it for 20 s."""
    image = "rbd/lock_held"
    with bench.session("lock_held") as session:
        bench.cluster.rbd("lock", "add", image, "visitor")
        began = time.monotonic()
        try:
            tag = session.submit(write_16(0, 1, False), bytes([1]) * BLOCK)
            wait_until(lambda: WAITS in health(bench, "lock_held"), 15, "health says that writes wait")
            answer = session.answer()
            expect((answer.tag, str(answer)), (tag, TIMED_OUT), "a write that waits for the lock")
            if WAITS not in bench.gateway.log.read_text():
                raise Wrong("the log does not say that writes wait")
            expect(str(read(session, 8)), "GOOD", "a read meanwhile")
            time.sleep(max(0, 20 - (time.monotonic() - began)))
        finally:
            owner = json.loads(bench.cluster.rbd("lock", "list", image, "--format", "json"))[0]["locker"]
            bench.cluster.rbd("lock", "remove", image, "visitor", owner)
        wait_until(lambda: write(session, 0, 2) == "GOOD", 60, "writes go on when the lock is free")
        must_hold(session, 0, 2)
        wait_until(lambda: health(bench, "lock_held") == "good", 10, "health is good again")


def client_blocklisted(bench: Bench) -> None:
    """The cluster fences the gateway."""
    with bench.session("client_blocklisted") as session:
        expect(write(session, 0, 1), "GOOD", "a write before")
        connections = {line.split("address=")[1] for line in bench.gateway.log.read_text().splitlines()
                       if "ceph: connected" in line}
        for address in connections:
            bench.cluster.mon("osd blocklist", blocklistop="add", addr=address, expire=3600.0)
        seen = []
        deadline = time.monotonic() + 20
        while bench.store("client_blocklisted")["figures"]["reopened"] == 0 and time.monotonic() < deadline:
            seen.append(write(session, 0, 2))
        if set(seen) - {"GOOD", "BUSY"}:
            raise Wrong(f"writes around the fence were answered {set(seen)}")
        figures = bench.store("client_blocklisted")["figures"]
        expect(figures["reopened"], 1, "how often the image was opened anew")
        expect(write(session, 0, 3), "GOOD", "a write over the new connection")
        must_hold(session, 0, 3)
        wait_until(lambda: ready(session) == "GOOD", 5, "TEST UNIT READY")
        expect(bench.store("client_blocklisted")["health"], "good", "the store's health")


def many_images(bench: Bench) -> None:
    """A hundred images in one gateway: no threads for each, and this much memory."""
    count = 100

    def measure(images: int) -> tuple[int, int]:
        units = [Unit("rbd", store=bench.cluster.store_keys(f"many-{number}", create=True, size="64MiB"))
                 for number in range(images)]
        gateway = Sluice(bench.gateway.program, units)
        gateway.start_s = 120  # it makes the images
        with gateway:
            for lun in range(images):
                with Initiator(gateway.port, gateway.iqn, INITIATOR, lun) as session:
                    while str(session.execute(test_unit_ready())) != "GOOD":
                        pass
                    expect(write(session, 0, 1), "GOOD", f"a write to image {lun}")
            status = Path(f"/proc/{gateway.pid}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines())
            return int(fields["Threads"]), int(fields["VmRSS"].split()[0])

    few, many = measure(1), measure(count)
    each = (many[1] - few[1]) / (count - 1)
    print(f"  1 image: {few[0]} threads, {few[1] / 1024:.0f} MiB; {count} images: {many[0]} threads, "
          f"{many[1] / 1024:.0f} MiB: {each:.0f} KiB each")
    if many[0] > few[0] + 4:
        raise Wrong(f"threads grew from {few[0]} to {many[0]}")
    if each > 2048:
        raise Wrong(f"an image takes {each:.0f} KiB")


def wrong_configuration(bench: Bench) -> None:
    """A wrong conf, user, pool or image is told before anything is served."""
    right = bench.cluster.store_keys("mon_gone")
    empty = bench.gateway.folder / "empty.conf"
    empty.write_text("[global]\nmon host = v2:127.0.0.1:1\n")
    for key, value, sentence in (("conf", "/nonexistent/ceph.conf", "cannot read /nonexistent/ceph.conf"),
                                 ("user", "nobody", "client.nobody"), ("pool", "none", 'no pool "none"'),
                                 ("image", "none", 'no image "none"')):
        gateway = Sluice(bench.gateway.program, [Unit("rbd", store=right | {key: value})])
        with gateway.kept():
            probed = subprocess.run([gateway.program, "check", "--probe", gateway.config], capture_output=True,
                                    text=True, timeout=60, check=False)
            expect(probed.returncode, 2, f"check --probe with a wrong {key}")
            for said in (probed.stderr, start_fails(gateway)):
                if sentence not in said or "store.s0" not in said:
                    raise Wrong(f"a wrong {key} is not told: {said}")
    good = subprocess.run([bench.gateway.program, "check", "--probe", bench.gateway.config], capture_output=True,
                          text=True, timeout=60, check=False)
    expect(good.returncode, 0, f"check --probe of what is served ({good.stderr})")


def start_fails(gateway: Sluice) -> str:
    try:
        gateway.start()
    except TargetError as error:
        return str(error)
    raise Wrong("it started")


TICKET_S = 15  # clients renew theirs every ten seconds at most
TESTS = [wrong_configuration, image_shrunk, pool_full, lock_held, image_removed, mon_gone, many_images, osd_stopped,
         client_blocklisted, keyring_revoked]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    parser.add_argument("--only", action="append", choices=[test.__name__ for test in TESTS])
    options = parser.parse_args()
    chosen = [test for test in TESTS if not options.only or test.__name__ in options.only]
    passed = failed = 0
    settings = {"auth_service_ticket_ttl": str(TICKET_S), "auth_mon_ticket_ttl": str(TICKET_S),
                "auth_allow_insecure_global_id_reclaim": "true"}
    try:
        with Cluster(store="bluestore", settings=settings) as cluster:
            bench = Bench(options.sluice, cluster, [test.__name__ for test in TESTS])
            with bench.gateway:
                for test in chosen:
                    started = time.monotonic()
                    try:
                        test(bench)
                    except Exception as error:  # of one row; the others are still looked at
                        failed += 1
                        print(f"{test.__name__}: {type(error).__name__}: {error}\n{bench.gateway.log_tail()}")
                        continue
                    passed += 1
                    print(f"{test.__name__}: passed, {time.monotonic() - started:.1f} s", flush=True)
    except (ClusterError, TargetError) as error:
        print(f"outages: {error}", file=sys.stderr)
        return 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
