#!/usr/bin/env python3
"""QEMU's iSCSI driver against sluice: convert a disk image in and out, compare, patterns by qemu-io, discard, zeroes;
over a RAM unit and a file unit, with and without CHAP. `--target tgt` runs Debian's tgt instead."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from qemu_tools import StepFailed, make_image, step, unit_options  # noqa: E402
from targets import Chap, Sluice, Target, TargetError, Tgt, Unit  # noqa: E402

SIZE = 64 << 20


def options_of(target: Target, lun: int, chap: Chap | None) -> str:
    return unit_options(f"127.0.0.1:{target.port}", target.iqn, lun, chap)


def secret(chap: Chap | None) -> list[str]:
    return ["--object", f"secret,id=chap,data={chap.secret}"] if chap else []


def round_trip(target: Target, lun: int, chap: Chap | None, work: Path) -> None:
    original, back = work / "original.raw", work / "back.raw"
    make_image(original, SIZE)
    unit = options_of(target, lun, chap)
    step("qemu-img", "convert", *secret(chap), "-n", "--target-image-opts", "-f", "raw", original, unit)
    step("qemu-img", "convert", *secret(chap), "--image-opts", unit, "-O", "raw", back)
    step("qemu-img", "compare", "-f", "raw", "-F", "raw", original, back)
    if original.read_bytes() != back.read_bytes():
        raise StepFailed("the image came back otherwise")


def patterns(target: Target, lun: int, block: int, chap: Chap | None) -> None:
    """Writes, flushes, zeroes and discards, each read back in the same and in another session; no step is smaller
    than `block` octets."""
    unit = [*secret(chap), "--image-opts", options_of(target, lun, chap)]
    step(
        "qemu-io",
        *unit,
        "-c",
        "write -P 0xa5 0 1M",
        "-c",
        f"write -P 0x5a {block} {block}",
        "-c",
        f"read -P 0xa5 0 {block}",
        "-c",
        f"read -P 0x5a {block} {block}",
        "-c",
        "flush",
    )
    step(
        "qemu-io",
        *unit,
        "-c",
        f"read -P 0x5a {block} {block}",
        "-c",
        f"read -P 0xa5 {2 * block} {(1 << 20) - 2 * block}",
        "-c",
        "write -z 64k 64k",
        "-c",
        "read -P 0 64k 64k",
        "-c",
        "read -P 0xa5 128k 64k",
    )
    step(
        "qemu-io",
        *unit,
        "-c",
        f"write -P 0x11 {SIZE - 8192} 8k",
        "-c",
        "flush",
        "-c",
        f"read -P 0x11 {SIZE - 8192} 8k",
        "-c",
        "write -P 0x22 4M 8M",
        "-c",
        "read -P 0x22 4M 8M",
        "-c",
        "discard 4M 4M",
        "-c",
        "read -P 0x22 8M 4M",
    )
    step(
        "qemu-io",
        *unit,
        "-c",
        "aio_write -P 0x31 16M 1M",
        "-c",
        "aio_write -P 0x32 17M 1M",
        "-c",
        "aio_flush",
        "-c",
        "read -P 0x31 16M 1M",
        "-c",
        "read -P 0x32 17M 1M",
    )


def refuses_a_wrong_secret(target: Target, lun: int) -> None:
    wrong = Chap(secret="another-secret-of-16")
    try:
        step("qemu-io", *secret(wrong), "--image-opts", options_of(target, lun, wrong), "-c", "read 0 512")
    except StepFailed:
        return
    raise StepFailed("a login with a wrong CHAP secret was let in")


def check(target: Target, luns: dict[str, int], chap: Chap | None) -> int:
    """How many checks passed; the first that fails ends it."""
    with target:
        for name, lun in luns.items():
            round_trip(target, lun, chap, target.folder)
            patterns(target, lun, 4096 if "4 KiB" in name else 512, chap)
            print(f"{target.name}, {name} unit{', CHAP' if chap else ''}: passed", flush=True)
        if chap:
            refuses_a_wrong_secret(target, min(luns.values()))
            print(f"{target.name}: refuses a wrong CHAP secret: passed", flush=True)
    return len(luns) + (1 if chap else 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM"
    )
    parser.add_argument("--target", choices=["sluice", "tgt"], default="sluice")
    options = parser.parse_args()
    os.environ.pop("LIBISCSI_DEBUG", None)
    passed = 0
    try:
        for chap in (None, Chap()):
            if options.target == "tgt":
                passed += check(Tgt(size=SIZE, chap=chap), {"file": Tgt.lun}, chap)
                continue
            units = [
                Unit("ram", f"{SIZE >> 20}MiB", {"thin": True}),
                Unit("file", f"{SIZE >> 20}MiB", {"thin": True}),
                # thick: QEMU 7.2 fails an assertion of its own when it asks a thin unit of 4 KiB blocks what is mapped
                Unit("file", f"{SIZE >> 20}MiB", {"block_size": 4096, "thin": False}),
            ]
            luns = {"RAM": 0, "file": 1, "file, 4 KiB blocks": 2}
            passed += check(Sluice(options.sluice, units, chap=chap), luns, chap)
    except (StepFailed, TargetError, subprocess.TimeoutExpired) as failure:
        print(f"interop: {failure}", file=sys.stderr)
        print(f"{passed} passed, 1 failed")
        return 1
    print(f"{passed} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
