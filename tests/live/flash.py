#!/usr/bin/env python3
"""Flash of a write-through cache through its operator's hands: warm after a restart when it was told of every write,
and not believed when it was away while the gateway wrote. usage: flash.py [PROGRAM]"""

import os
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from initiator import read_16  # noqa: E402
from write_back_fixture import BLOCK, BLOCKS, DIRECT, Checks, Stand  # noqa: E402

CACHED = {"ram": "1MiB", "bypass": "0B", "prefetch": "0B", "flash.path": "flash", "flash.size": "64MiB"}
OTHER = CACHED | {"flash.path": "other"}
IN_RAM = {"ram": "1MiB"}
WARM = 2048  # blocks of 4 KiB: 8 MiB, which RAM does not hold


def has_direct_io(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "probe", os.O_CREAT | os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    return True


def figure(stand: Stand, name: str) -> int:
    return stand.figures("c0")[name]


def warm(stand: Stand) -> None:
    """Reads more than RAM holds, again and again, until some of it is on flash."""
    stand.flush()
    with stand.session() as session:
        for _ in range(50):
            for first in range(0, WARM * 8, BLOCKS):
                session.execute(read_16(first, BLOCKS), data_in_length=BLOCK * BLOCKS).must_be_good("READ")
            if figure(stand, "flash_written_bytes") + 4096 * figure(stand, "flash_recovered_blocks") >= 4 << 20:
                return
    raise AssertionError("nothing gets to flash")


def found_after(stand: Stand, *lives: dict) -> int:
    """Warms the flash, ends the gateway, lets it live otherwise and write each time, and says what a start finds."""
    warm(stand)
    for octet, life in enumerate(lives, 10):
        stand.gateway.stop()
        stand.start(life)
        stand.write(octet)
    stand.gateway.stop()
    stand.start(CACHED)
    stand.shows("c0", "flash_ready", True)
    return figure(stand, "flash_recovered_blocks")


def scenario(stand: Stand, checks: Checks) -> None:
    check = checks.check
    stand.start(CACHED)
    stand.write(1)
    check("a restart finds flash warm", found_after(stand) > 0)
    stand.gateway.kill()
    stand.start(CACHED)
    stand.shows("c0", "flash_ready", True)
    check("so does one after SIGKILL", figure(stand, "flash_recovered_blocks") > 0)
    check("one that wrote to the medium itself does not", found_after(stand, DIRECT) == 0 and stand.holds(10))
    check("nor one that had other flash", found_after(stand, OTHER) == 0 and stand.holds(10))
    check("nor one that had a cache in RAM", found_after(stand, IN_RAM) == 0 and stand.holds(10))
    check("nor one that had several in turn", found_after(stand, OTHER, DIRECT, OTHER) == 0 and stand.holds(12))
    warm(stand)
    saved = stand.flash.read_bytes()
    stand.apply(IN_RAM)
    stand.gateway.stop()
    stand.flash.write_bytes(saved)
    stand.start(CACHED)
    check("what was taken away is not believed, even if it was not wiped", stand.shows("c0", "flash_ready", True) and
          figure(stand, "flash_recovered_blocks") == 0)
    check("flash that is used from then on is warm again", found_after(stand) > 0)
    stand.gateway.stop()


def main() -> int:
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "build" / "release" / "sluice"
    stand, checks = Stand(program, "file"), Checks()
    with stand.gateway.kept():
        if not has_direct_io(stand.gateway.folder):
            print("the file system of the temporary folder has no direct I/O\n0 passed, 0 failed, 1 skipped")
            return 0
        scenario(stand, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
