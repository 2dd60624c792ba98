#!/usr/bin/env python3
"""Has spin look at every state that takeover.pml can come to: none may be wrong. Then with one step of the protocol
left out, and again for each: every one of those must be found to be wrong. Last, that what is looked for happens.
usage: run.py [--gateways N] [--lives N] [--moves N] [--writes N] [--seconds S]
exit status: 0 all is as it should be, 1 it is not, 2 it cannot be run here"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "takeover.pml"
LEFT_OUT = ["NO_FENCE", "NO_CONFIRM", "NO_BARRIER", "NO_EPOCH", "NO_LEASE"]
REACHED = ["REACHES_A_MOVE", "REACHES_A_TAKEOVER"]
MEMORY_MIB = 4096


class Unfinished(Exception):
    """The states were not all looked at."""


def look(defines: dict[str, str], seconds: float) -> tuple[bool, int]:
    """Whether a state is wrong, and how many were looked at."""
    with tempfile.TemporaryDirectory(prefix="sluice-model-") as folder:
        flags = [f"-D{name}={value}" if value else f"-D{name}" for name, value in defines.items()]

        def run(*command: str, limit: float) -> str:
            done = subprocess.run(command, cwd=folder, text=True, timeout=limit, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
            return done.stdout

        said = run("spin", "-a", *flags, str(MODEL), limit=60)
        if not (Path(folder) / "pan.c").exists():
            raise Unfinished(f"spin does not take the model:\n{said}")
        said = run("cc", "-O2", "-w", "-DSAFETY", "-DVECTORSZ=512", f"-DMEMLIM={MEMORY_MIB}", "-o", "pan",
                   "pan.c", limit=120)
        if not (Path(folder) / "pan").exists():
            raise Unfinished(f"the checker does not compile:\n{said}")
        try:
            said = run("./pan", "-m1000000", "-w24", limit=seconds)
        except subprocess.TimeoutExpired:
            raise Unfinished(f"not all states were looked at within {seconds:.0f} s") from None
    found = re.search(r"errors: (\d+)", said)
    states = re.search(r"^\s*([\d.e+]+) states, stored", said, re.MULTILINE)
    if not found or not states:
        raise Unfinished(said)
    wrong = int(found[1]) != 0
    if not wrong and re.search(r"max search depth too small|out of memory|not completed", said):
        raise Unfinished(said)
    return wrong, int(float(states[1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("gateways", 2), ("lives", 2), ("moves", 1), ("writes", 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--seconds", type=float, default=300, help="for each look")
    options = parser.parse_args()
    for tool in ("spin", "cc"):
        if not shutil.which(tool):
            print(f"model: there is no {tool}: ./dev setup", file=sys.stderr)
            return 2
    bounds = {name.upper(): str(getattr(options, name)) for name in ("gateways", "lives", "moves", "writes")}
    failures, variants = 0, ["", *LEFT_OUT, *REACHED]
    for variant in variants:
        begin = time.monotonic()
        try:
            wrong, states = look(bounds | ({variant: ""} if variant else {}), options.seconds)
        except Unfinished as why:
            print(f"model: {variant or 'as it is'}: {why}")
            failures += 1
            continue
        good = wrong == bool(variant)
        failures += not good
        outcome = "a wrong state" if wrong else "no wrong state"
        print(f"model: {variant or 'as it is'}: {outcome} among {states:,}, {time.monotonic() - begin:.1f} s"
              f"{'' if good else ' -- FAILED'}", flush=True)
    print(f"{len(variants) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
