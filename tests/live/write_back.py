#!/usr/bin/env python3
"""A write-back cache through its operator's hands: killed with data on flash, refused to whoever would use the medium
without them, taken away while it runs, given up when the flash is gone.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from initiator import test_unit_ready  # noqa: E402
from write_back_fixture import BACK, BLOCK, BLOCKS, DIRECT, IN_MEMORY, THROUGH, Checks, Stand  # noqa: E402


def scenario(stand: Stand, checks: Checks) -> None:
    stand.start(BACK)
    stand.write(1)
    stand.gateway.kill()
    seen = stand.inspect(stand.flash)
    checks.check("what was written is on flash after SIGKILL",
                 seen["state"] == "dirty" and seen["dirty_bytes"] == BLOCK * BLOCKS)
    checks.check("the medium says that it lacks data", stand.inspect(stand.image)["state"] == "lacks data")
    checks.check("by the names of the stores too", stand.inspect(*stand.named("s0"))["state"] == "lacks data" and
                 stand.inspect(*stand.named("c0"))["state"] == "dirty")
    checks.check("a unit over the medium itself is refused", stand.is_refused(DIRECT, "lacks data that are in journal"))
    checks.check("another mode over the same flash is refused", stand.is_refused(THROUGH, "holds data of s0"))
    stand.start(BACK)
    checks.check("the cache goes on with its data", stand.holds(1))
    stand.apply(DIRECT)
    checks.check("taken away while it runs, it leaves them below", stand.holds(1))
    checks.check("and its flash with none", stand.inspect(stand.flash)["state"] == "clean")
    stand.apply(BACK)
    stand.write(2)
    checks.check("back again, it holds data back", stand.below_holds(1))
    stand.apply(THROUGH)
    checks.check("changed to write-through, it brings them below", stand.comes_to("passing") and stand.below_holds(2))
    stand.write(3)
    checks.check("and holds nothing back", stand.below_holds(3))
    stand.apply(BACK)
    checks.check("changed to write-back, it does again", stand.comes_to("journaling"))
    stand.write(4)
    checks.check("while initiators see what they wrote", stand.below_holds(3) and stand.holds(4))
    stand.apply(DIRECT)
    stand.write(1)
    stand.apply(BACK)
    stand.write(2)
    checks.check("an orderly stop does not wait for the medium", stand.gateway.stop() == 0)
    checks.check("the data stay on flash", stand.inspect(stand.flash)["state"] == "dirty")
    stand.flash.unlink()
    checks.check("other flash does not stand in for that which is gone", stand.is_refused(BACK, "lacks data"))
    stand.sluice("cache", "resolve", str(stand.image), "--discard")
    stand.start(DIRECT)
    checks.check("given up, the medium is as it was at an earlier moment", stand.holds(1))
    stand.gateway.stop()


def lost_blocks(stand: Stand, checks: Checks) -> None:
    """Somebody cuts the flash off while it holds data."""
    stand.start(BACK)
    stand.write(5)
    with stand.session() as session:
        os.truncate(stand.flash, 0)
        stand.sluice("cache", "flush", "c0", "--control", str(stand.gateway.folder / "control.sock"))
        heard = [str(session.execute(test_unit_ready())) for _ in range(3)]
    checks.check(f"initiators are warned when data are found lost: {heard}",
                 "06/0b/05" in heard and set(heard) <= {"06/0b/00", "06/0b/05", "GOOD"})
    control = "--control", str(stand.gateway.folder / "control.sock")
    checks.check("and the unit's health says so",
                 "are lost until they are written anew" in stand.sluice("status", *control))
    stand.configure(DIRECT)
    checks.check("the cache is not taken away before somebody decides about them",
                 stand.fails("give them up with", "apply", str(stand.gateway.config), *control))
    stand.sluice("cache", "resolve", "--store", "c0", "--discard", *control)
    stand.apply(BACK | {"flash.path": "flash2"})
    checks.check("given up, the cache goes on with other flash", stand.comes_to("journaling"))
    checks.check("which has lost nothing that could be given up",
                 stand.fails("has lost nothing", "cache", "resolve", "--store", "c0", "--discard", *control))
    stand.write(6)
    stand.apply(DIRECT)
    checks.check("and may be taken away", stand.holds(6) and stand.below_holds(6))
    stand.gateway.kill()


def killed_in_a_change(stand: Stand, checks: Checks) -> None:
    """The gateway is killed at any moment of an apply that gives the cache another journal."""
    random = Random(1)
    small, large = BACK | {"flash.dirty": "16MiB"}, BACK | {"flash.dirty": "24MiB"}
    moved = small | {"flash.path": "flash2"}
    stand.start(small)
    now, rounds, right, before = small, 12, 0, 0
    for round_ in range(1, rounds + 1):
        stand.write(round_)
        wanted = random.choice([each for each in (small, large, moved) if each is not now])
        stand.configure(wanted)
        change = subprocess.Popen(
            [stand.gateway.program, "apply", stand.gateway.config, "--control", stand.gateway.folder / "control.sock"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.random() * 0.15)
        stand.gateway.kill()
        change.wait(timeout=60)
        if stand.serves(wanted):
            now = wanted
        else:
            stand.gateway.stop()
            stand.start(now)
            before += 1
        right += stand.holds(round_)
    checks.check(f"killed while the journal changes, it lost nothing in {right} of {rounds} rounds, "
                 f"{before} of which went on from before the change", right == rounds)
    stand.gateway.kill()


def in_memory(stand: Stand, checks: Checks) -> None:
    stand.start(IN_MEMORY)
    stand.write(1)
    stand.flush()
    checks.check("memory is written below when an initiator flushes", stand.below_holds(1))
    stand.write(2)
    checks.check("and not before", stand.below_holds(1) and stand.holds(2))
    checks.check("an orderly stop brings it below", stand.gateway.stop() == 0 and stand.below_holds(2))
    stand.start(IN_MEMORY)
    stand.write(3)
    stand.gateway.kill()
    checks.check("what was not flushed is lost when the gateway is killed", stand.below_holds(2))
    stand.start(IN_MEMORY)
    checks.check("and the medium may be used, as after a loss of power", stand.holds(2))
    stand.write(4)
    stand.apply(DIRECT)
    checks.check("taken away while it runs, it leaves nothing behind", stand.holds(4) and stand.below_holds(4))
    stand.gateway.stop()


def keeps_marks(folder: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.sluice-test", b"1")
    except OSError:
        return False
    return True


def main() -> int:
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "build" / "release" / "sluice"
    stand, checks = Stand(program, "file"), Checks()
    with stand.gateway.kept():
        if not keeps_marks(stand.gateway.folder):
            print("the file system of the temporary folder has no extended attributes\n0 passed, 0 failed, 1 skipped")
            return 0
        scenario(stand, checks)
    for more in (lost_blocks, killed_in_a_change, in_memory):
        stand = Stand(program, "file")
        with stand.gateway.kept():
            more(stand, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
