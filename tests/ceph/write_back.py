#!/usr/bin/env python3
"""A write-back cache over an RBD image on a real cluster: killed with data on flash, the image refused to whoever would
use it without them, whole again through its flash, given up when that is gone.

usage: write_back.py [PROGRAM]
"""

import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import POOL, Cluster  # noqa: E402
from write_back_fixture import BACK, DIRECT, SIZE, Checks, Stand  # noqa: E402

IMAGE, CLONE = "one", "clone"
FORGOTTEN_S = 5  # a client that was killed, by the cluster
ORDERLY_S = 20  # a gateway's end while the cluster is silent


class ImageStand(Stand):
    def __init__(self, program: Path, cluster: Cluster):
        super().__init__(program, "rbd", cluster.store_keys(IMAGE, create=True, size=SIZE))
        self.cluster = cluster

    def read_below(self, octets: int) -> bytes:
        copy = self.gateway.folder / "copy"
        copy.unlink(missing_ok=True)
        self.cluster.rbd("export", f"{POOL}/{IMAGE}", copy)
        with copy.open("rb") as image:
            return image.read(octets)

    def use_image(self, name: str) -> None:
        self.store["image"] = name

    def clone(self) -> None:
        snapshot = f"{POOL}/{IMAGE}@then"
        for words in (("snap", "create", snapshot), ("snap", "protect", snapshot), ("clone", snapshot,
                                                                                   f"{POOL}/{CLONE}")):
            self.cluster.rbd(*words)

    def wait_until_forgotten(self) -> None:
        """Until the cluster knows that a gateway which was killed has the image no more."""
        for _ in range(100):
            if "watcher=" not in self.cluster.rbd("status", f"{POOL}/{IMAGE}"):
                return
            time.sleep(0.2)
        raise AssertionError("the cluster does not forget the gateway that was killed")


def goes_on(stand: ImageStand, checks: Checks) -> None:
    stand.start(BACK)
    stand.write(1)
    checks.check("an image that a gateway has open is not inspected",
                 stand.fails("is in use by", "cache", "inspect", *stand.named("s0")))
    stand.gateway.kill()
    checks.check("what was written is on flash after SIGKILL", stand.inspect(stand.flash)["state"] == "dirty")
    checks.check("and not below", stand.below_holds(0))
    checks.check("a unit over the image itself is refused", stand.is_refused(DIRECT, "lacks data that are in journal"))
    checks.check("other flash is refused", stand.is_refused(BACK | {"flash.path": "other"}, "lacks data"))
    stand.clone()
    stand.use_image(CLONE)
    stand.start(DIRECT)
    checks.check("a clone is used as what the image held below", stand.holds(0) and stand.gateway.stop() == 0)
    checks.check("the flash's data are not brought to it", stand.is_refused(BACK, "does not wait for them"))
    stand.use_image(IMAGE)
    stand.start(BACK)
    checks.check("the cache goes on with its data", stand.holds(1))
    stand.apply(DIRECT)
    checks.check("taken away while it runs, it leaves them below", stand.holds(1) and stand.below_holds(1))
    checks.check("an orderly stop", stand.gateway.stop() == 0)
    seen = stand.inspect(*stand.named("s0"))
    checks.check("the image waits for nobody", seen["state"] == "whole" and seen["holder"] == "")


def is_given_up(stand: ImageStand, checks: Checks) -> None:
    stand.start(BACK)
    stand.write(2)
    stand.gateway.kill()
    stand.flash.unlink()
    checks.check("new flash does not stand in for that which is gone", stand.is_refused(BACK, "lacks data"))
    stand.wait_until_forgotten()
    checks.check("the image says who has its data", "/flash" in stand.inspect(*stand.named("s0"))["holder"])
    resolve = "cache", "resolve", *stand.named("s0")
    checks.check("there is nothing to keep", stand.fails("they are in journal", *resolve, "--keep"))
    stand.sluice(*resolve, "--discard")
    checks.check("there is nothing to give up any more", stand.fails("lacks nothing", *resolve, "--discard"))
    stand.start(DIRECT)
    checks.check("given up, the image is as it was at an earlier moment", stand.holds(1))
    checks.check("an orderly stop again", stand.gateway.stop() == 0)


def meets_silence(stand: ImageStand, checks: Checks) -> None:
    stand.start(BACK)
    checks.check("the journal has its medium", stand.comes_to("journaling"))
    stand.cluster.kill("osd.0")
    try:
        checks.check("the cluster falls silent", stand.shows("s0", "stalled", True))
        began = time.monotonic()
        stand.apply(BACK)
        checks.check("an apply that changes nothing does not ask it",
                     time.monotonic() - began < 5 and stand.shows("c0", "journal_state", "journaling"))
        checks.check("and the journal knows no trouble", "cannot be marked" not in stand.gateway.log_tail())
        began = time.monotonic()
        checks.check("a stop does not wait for it long",
                     stand.gateway.stop() == 0 and time.monotonic() - began < ORDERLY_S)
    finally:
        stand.cluster.up("osd.0")
    checks.check("the image is still kept for its flash", stand.is_refused(DIRECT, "lacks data"))
    stand.start(BACK)
    stand.write(3)
    stand.apply(DIRECT)
    checks.check("which goes on with it", stand.below_holds(3) and stand.gateway.stop() == 0)


def main() -> int:
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "build" / "release" / "sluice"
    checks = Checks()
    with Cluster(store="bluestore", settings={"osd_client_watch_timeout": str(FORGOTTEN_S)}) as cluster:
        stand = ImageStand(program, cluster)
        with stand.gateway.kept():
            goes_on(stand, checks)
            is_given_up(stand, checks)
            meets_silence(stand, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
