#!/usr/bin/env python3
"""Media that go wrong under a gateway, and what its operator and initiators are told: files that are cut short or
taken away, flash likewise, flash that is dead or is taken for a medium. usage: media.py [PROGRAM]"""

import os
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from gateway import own_gateway  # noqa: E402
from initiator import Initiator, read_16, test_unit_ready, write_16  # noqa: E402
from targets import TargetError  # noqa: E402
from write_back_fixture import BACK, BLOCK, DIRECT, THROUGH, Checks, Stand  # noqa: E402

HALF = 32 << 20
LAST_BLOCK = (64 << 20) // BLOCK - 1


def control(stand: Stand) -> tuple[str, ...]:
    return "--control", str(stand.gateway.folder / "control.sock")


def health_says(stand: Stand, sentence: str) -> bool:
    """Whether status soon says so, and the events too."""
    for _ in range(100):
        if sentence in stand.sluice("status", *control(stand)):
            return True
        time.sleep(0.1)
    return False


def events_say(stand: Stand, sentence: str) -> bool:
    return sentence in stand.sluice("events", *control(stand))


def cut_short(stand: Stand, checks: Checks) -> None:
    check = checks.check
    stand.start(DIRECT)
    stand.write(1)
    with stand.session() as session:
        os.truncate(stand.image, HALF)
        last = read_16(LAST_BLOCK, 1)
        check("behind the new end there is an error, and no zeroes",
              "03/11/00" in [str(session.execute(last, data_in_length=BLOCK)) for _ in range(2)])
        check("nothing is written there, where a hole would be left",
              session.execute(write_16(LAST_BLOCK, 1, False), bytes(BLOCK)).status != 0)
    check("health says that the file was cut short", health_says(stand, "was cut short"))
    check("and so do the events", events_say(stand, "was cut short"))
    check("what lies before the end serves", stand.holds(1))
    check("an orderly end with data lost is no success", stand.gateway.stop() == 1)
    check("the next start is refused, and says how to decide", stand.is_refused(DIRECT, "truncate -s 67108864"))
    os.truncate(stand.image, 64 << 20)
    stand.start(DIRECT)
    check("after that it starts", stand.holds(1))
    os.truncate(stand.image, HALF)
    check("while it serves somebody can decide as well", health_says(stand, "was cut short") and
          "given up" in stand.sluice("cache", "resolve", "--store", "s0", "--discard", *control(stand)))
    with stand.session() as session:
        check("then what is missing is zeroes",
              session.execute(read_16(LAST_BLOCK, 1), data_in_length=BLOCK).must_be_good("READ").data == bytes(BLOCK))
    check("and the end is in order", stand.gateway.stop() == 0)


def taken_away(stand: Stand, checks: Checks) -> None:
    check = checks.check
    stand.start(DIRECT)
    stand.write(1)
    away = stand.image.with_suffix(".away")
    stand.image.rename(away)
    check("health says that the file was removed", health_says(stand, "was removed while it is in use"))
    away.rename(stand.image)
    check("and that it came back", health_says(stand, "good") and stand.holds(1))
    stand.gateway.stop()
    stand.start(BACK)
    stand.write(2)
    check("write-back holds data back", stand.below_holds(1))
    stand.flash.unlink()
    check("health says that the flash was removed", health_says(stand, "was removed while it is in use"))
    check("and what it held gets below", stand.comes_to("passing") and stand.below_holds(2))
    check("so that the end is in order", stand.gateway.stop() == 0)
    stand.start(DIRECT)
    check("and the medium is whole", stand.holds(2))
    stand.gateway.stop()


def flash_at_a_start(stand: Stand, checks: Checks) -> None:
    check = checks.check
    stand.start(BACK)
    stand.write(3)
    stand.gateway.stop()
    stand.configure(DIRECT)
    text = stand.gateway.config.read_text()
    check("the stand has the path of its store in its file", "unit0.raw" in text)
    stand.gateway.config.write_text(text.replace("unit0.raw", "flash"))
    check("flash with data is no store of its own",
          stand.is_left_out("is the flash of a write-back cache and holds data of the store s0"))
    os.truncate(stand.flash, 8 << 20)
    check("flash that was cut short is refused", stand.is_refused(BACK, "was cut short"))
    stand.sluice("cache", "resolve", str(stand.flash), "--discard")
    stand.start(BACK)
    check("until somebody decides", stand.comes_to("journaling"))
    stand.apply(DIRECT)
    stand.gateway.stop()
    dead = THROUGH | {"flash.path": str(stand.gateway.folder / "nowhere" / "flash")}
    stand.start(dead)
    check("a unit serves without flash that is dead", health_says(stand, "goes on without flash"))
    stand.write(4)
    check("as durably as before", stand.below_holds(4))
    stand.gateway.stop()


def over_a_fault_store(program: Path, checks: Checks) -> None:
    """A cache whose medium lies below another store finds what it held back, and nobody else may have that medium."""
    body = """[store.image]
type = "file"
path = "image"
size = "64MiB"
[store.drill]
type = "fault"
over = "image"
[store.cache]
type = "cache"
over = "drill"
ram = "16MiB"
mode = "write-back"
destage_delay = "60s"
flash.path = "flash"
flash.size = "96MiB"
[target.live]
luns = { 0 = "cache" }
[[target.live.port]]
fabric = "iscsi"
name = "iqn.2026-11.io.sluice:live"
listen = ["127.0.0.1:0"]
"""
    with own_gateway(program, checks) as gateway:
        gateway.write(body)
        gateway.start()
        with Initiator(int(gateway.portal.rsplit(":", 1)[1]), "iqn.2026-11.io.sluice:live", "iqn.host", 0) as host:
            host.execute(test_unit_ready())
            host.execute(write_16(0, 8, False), b"\x11" * 4096).must_be_good("WRITE")
        gateway.stop()
        first, last = body.index("[store.cache]"), body.index("[target.live]")
        gateway.write(body[:first] + body[last:].replace("cache", "drill"))
        refused = False
        try:
            gateway.start()
        except TargetError as error:
            refused = "lacks data that are in journal" in str(error)
        checks.check("the store between a write-back cache and its medium is refused without it", refused)
        gateway.write(body)
        gateway.start()
        with Initiator(int(gateway.portal.rsplit(":", 1)[1]), "iqn.2026-11.io.sluice:live", "iqn.host", 0) as host:
            host.execute(test_unit_ready())
            found = host.execute(read_16(0, 8), data_in_length=4096).data
        checks.check("with it, the data are there", found == b"\x11" * 4096)
        gateway.stop()


def main() -> int:
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "build" / "release" / "sluice"
    checks = Checks()
    for scenario in (cut_short, taken_away, flash_at_a_start):
        stand = Stand(program, "file")
        with stand.gateway.kept():
            try:
                scenario(stand, checks)
            except (AssertionError, OSError) as error:
                checks.check(f"{scenario.__name__}: {error!r}", False)
    over_a_fault_store(program, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
