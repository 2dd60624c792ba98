#!/usr/bin/env python3
"""A write-back cache through its operator's hands: killed with data on flash, refused to whoever would use the medium
without them, taken away while it runs, given up when the flash is gone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from initiator import Initiator, read_16, write_16  # noqa: E402
from targets import INITIATOR, Sluice, TargetError, Unit  # noqa: E402

BLOCK, BLOCKS = 512, 2048  # of what is written: 1 MiB
SIZE = "64MiB"
# Nothing gets below by itself while the test looks.
CACHE = {"ram": "16MiB", "mode": "write-back", "destage_delay": "60s", "flash.path": "flash", "flash.size": "96MiB"}
DIRECT, THROUGH, BACK = {}, CACHE | {"mode": "write-through"}, CACHE


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what: str, holds: bool) -> None:
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {what}")


class Stand:
    """One gateway over one file, with or without the cache."""

    def __init__(self, program: Path):
        self.gateway = Sluice(program, [Unit("file", SIZE)])
        self.image, self.flash = self.gateway.folder / "unit0.raw", self.gateway.folder / "flash"

    def configure(self, cache: dict) -> None:
        self.gateway.write_configuration([Unit("file", SIZE, cache=cache)], None, [INITIATOR])

    def start(self, cache: dict) -> None:
        self.configure(cache)
        self.gateway.start()

    def is_refused(self, cache: dict, sentence: str) -> bool:
        try:
            self.start(cache)
        except TargetError:
            return sentence in self.gateway.log_tail()
        self.gateway.kill()
        return False

    def apply(self, cache: dict) -> None:
        self.configure(cache)
        self.sluice("apply", str(self.gateway.config), "--control", str(self.gateway.folder / "control.sock"))

    def sluice(self, *words: str) -> str:
        done = subprocess.run([self.gateway.program, *words], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"sluice {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def inspect(self, path: Path) -> dict:
        return json.loads(self.sluice("cache", "inspect", str(path), "--json"))

    def session(self) -> Initiator:
        session = Initiator(self.gateway.port, self.gateway.iqn, INITIATOR, 0)
        while session.execute(bytes(6)).status != 0:  # unit attentions of the new nexus
            pass
        return session

    def write(self, octet: int) -> None:
        with self.session() as session:
            command = write_16(0, BLOCKS, False)
            session.execute(command, bytes([octet]) * (BLOCK * BLOCKS)).must_be_good("WRITE")

    def below_holds(self, octet: int) -> bool:
        with self.image.open("rb") as image:
            return image.read(BLOCK * BLOCKS) == bytes([octet]) * (BLOCK * BLOCKS)

    def comes_to(self, state: str) -> bool:
        """Whether the journal is soon in that state."""
        for _ in range(100):
            told = self.sluice("status", "--json", "--control", str(self.gateway.folder / "control.sock"))
            figures = next(store["figures"] for store in json.loads(told)["stores"] if store["name"] == "c0")
            if figures["journal_state"] == state:
                return True
            time.sleep(0.1)
        return False

    def holds(self, octet: int) -> bool:
        with self.session() as session:
            data = session.execute(read_16(0, BLOCKS), data_in_length=BLOCK * BLOCKS).must_be_good("READ").data
        return data == bytes([octet]) * (BLOCK * BLOCKS)


def scenario(stand: Stand, checks: Checks) -> None:
    stand.start(BACK)
    stand.write(1)
    stand.gateway.kill()
    seen = stand.inspect(stand.flash)
    checks.check("what was written is on flash after SIGKILL",
                 seen["state"] == "dirty" and seen["dirty_bytes"] == BLOCK * BLOCKS)
    checks.check("the medium says that it lacks data", stand.inspect(stand.image)["state"] == "lacks data")
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


def keeps_marks(folder: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.sluice-test", b"1")
    except OSError:
        return False
    return True


def main() -> int:
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "build" / "release" / "sluice"
    stand, checks = Stand(program), Checks()
    with stand.gateway.kept():
        if not keeps_marks(stand.gateway.folder):
            print("the file system of the temporary folder has no extended attributes\n0 passed, 0 failed, 1 skipped")
            return 0
        scenario(stand, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
