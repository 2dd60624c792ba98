#!/usr/bin/env python3
"""Measures this build beside another of sluice, such as one before a change, and prints the ratios of IOPS and of CPU
time per command: RAM, files in the page cache and past it, a cache that holds all and one that holds nothing.

Both gateways run on core 0, the client on core 1. Rounds are interleaved, ratios are taken within a round; a round is
short, because what disturbs a host lasts longer. Where a gateway's memory comes to lie makes up to 10 % of large reads,
so that both are started anew several times, either one first in turn. The table shows medians and ranges over all. With
80 rounds the medians of a build beside itself lie within 2 % of 1. A round in which one of the two made no command
(direct I/O on a busy disk) is left out.
usage: before.py --before PROGRAM [--sittings N] [--rounds N] [--seconds S] [--case WORD]
"""

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "bench"))

from compare import CASES, TARGET_CORE, measure, touch  # noqa: E402
from targets import Sluice, Target, TargetError, Unit  # noqa: E402

QD1, QD32, QD128 = (["--depth", str(depth)] for depth in (1, 32, 128))
WRITE = ["--write-percent", "100"]
SMALL = {"4 KiB read, QD1": QD1, "4 KiB write, QD1": QD1 + WRITE,
         "4 KiB read, QD32": QD32, "4 KiB write, QD32": QD32 + WRITE,
         "4 KiB read, QD128": QD128, "4 KiB write, QD128": QD128 + WRITE}
SIZE = "512MiB"


class Beside(Sluice):
    """A gateway with a unit of each kind, one after the other."""

    KINDS = {
        "ram": (Unit(size=SIZE), CASES),
        "file": (Unit("file", SIZE), SMALL),
        "file, direct": (Unit("file", SIZE, store={"direct": True}), SMALL),
        "cache, hit": (Unit(size=SIZE, cache={"ram": "1GiB", "bypass": "0B"}), SMALL),
        "cache, miss": (Unit("file", SIZE, cache={"ram": "1MiB"}), SMALL),
    }

    def __init__(self, name: str, program: Path):
        super().__init__(program, [unit for unit, _ in self.KINDS.values()], TARGET_CORE)
        self.name = name


def at(target: Target, lun: int) -> Target:
    target.lun = lun
    return target


def spread(values: list[float]) -> str:
    if not values:
        return "no round"
    return f"{statistics.median(values):.3f} ({min(values):.2f}-{max(values):.2f})"


def compare_case(options, both: dict[str, Beside], lun: int, case: list[str], into: dict) -> None:
    for turn in range(options.rounds):
        runs = {name: measure(options.client, at(both[name], lun), case, options.seconds)
                for name in sorted(both, reverse=turn % 2 == 0)}
        now, before = runs["now"], runs["before"]
        if not all(run["iops"] and run["target"]["cpu_s_per_million"] for run in runs.values()):
            continue
        into["iops"].append(now["iops"] / before["iops"])
        into["cpu"].append(now["target"]["cpu_s_per_million"] / before["target"]["cpu_s_per_million"])


def sitting(options, number: int, results: dict) -> None:
    """One start of both; every case that was chosen."""
    with ExitStack() as stack:
        programs = {"now": options.sluice, "before": options.before}
        both = {name: stack.enter_context(Beside(name, programs[name].resolve()))
                for name in sorted(programs, reverse=number % 2 == 0)}
        for lun, (kind, (_, cases)) in enumerate(Beside.KINDS.items()):
            chosen = {f"{kind}: {name}": case for name, case in cases.items()
                      if not options.case or any(word in f"{kind}: {name}" for word in options.case)}
            for target in both.values() if chosen else []:
                touch(options.client, at(target, lun))
            for name, case in chosen.items():
                compare_case(options, both, lun, case, results.setdefault(name, {"iops": [], "cpu": []}))


def main() -> int:
    build = TOP / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the other build's program")
    parser.add_argument("--sluice", type=Path, default=build / "sluice")
    parser.add_argument("--client", type=Path, default=build / "sluice-load")
    parser.add_argument("--sittings", type=int, default=2, help="how often both are started")
    parser.add_argument("--rounds", type=int, default=20, help="of each sitting")
    parser.add_argument("--seconds", type=float, default=0.1, help="of each measurement")
    parser.add_argument("--case", action="append", help="only cases whose kind and name contain this")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "bench")
    options = parser.parse_args()
    results: dict[str, dict] = {}
    try:
        for number in range(options.sittings):
            sitting(options, number, results)
    except TargetError as error:
        print(f"before: {error}", file=sys.stderr)
        return 1
    print(f"{'':44} {'IOPS to before':22} {'CPU per command to before'}")
    for name, one in results.items():
        print(f"{name:44} {spread(one['iops']):22} {spread(one['cpu'])}")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "before.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
