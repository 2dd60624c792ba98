#!/usr/bin/env python3
"""QEMU's iSCSI driver beside a file system that stands still for eight seconds: what it asked for is done, and
no request of a guest fails. usage: late_media.py PROGRAM"""
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from frozen import frozen_files  # noqa: E402
from gateway import Checks, one_unit, own_gateway  # noqa: E402
from qemu_tools import StepFailed, step, unit_options  # noqa: E402

NAME = "iqn.2026-11.io.sluice:late"
LATE_S = 8


def main():
    checks = Checks()
    with frozen_files() as files:
        if files is None:
            checks.skip("a file system that stands still", "none can be made here")
            return checks.end()
        with own_gateway(sys.argv[1], checks) as gateway:
            gateway.write(one_unit(NAME, type="file", path=f"{files.mount}/disk", size="64MiB"))
            gateway.start()
            unit = unit_options(gateway.portal, NAME, 0)
            step("qemu-io", "--image-opts", unit, "-c", "write -P 0x11 0 1M")
            files.freeze(True)
            thaw = threading.Timer(LATE_S, files.freeze, [False])
            thaw.start()
            try:
                step("qemu-io", "--image-opts", unit, "-c", "write -P 0x22 0 512k", "-c", "flush",
                     "-c", "read -P 0x22 0 512k", "-c", "read -P 0x11 512k 512k")
                checks.check(f"QEMU rides out {LATE_S} s", True)
            except StepFailed as failure:
                checks.check(f"QEMU rides out {LATE_S} s: {failure}", False)
            thaw.join()
            checks.check("an orderly stop", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
