#!/usr/bin/env python3
"""Runs the unit tests of a coverage build and prints which part of the lines of each module they execute. Compares the
whole with the figure in expected.txt, which `--write` keeps: less, by more than half a percent, is a failure."""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
EXPECTED = Path(__file__).resolve().parent / "expected.txt"
TOLERATED = 0.5  # percent: what chance and machines change
BESIDE_THE_CODE = ("_test.cpp", "_fuzz.cpp", "_bench.cpp", "_main.cpp")
FLOORS = ("actors/", "ceph/", "config/", "fabrics/", "gateway/", "tiers/")
TESTS_S = 1800


def is_measured(name: str) -> bool:
    return name.startswith(FLOORS) and not name.endswith(BESIDE_THE_CODE) and not Path(name).name.startswith("test_")


def run_tests(build: Path) -> bool:
    for stale in build.rglob("*.gcda"):
        stale.unlink()
    done = subprocess.run(["ctest", "--test-dir", build, "--output-on-failure", "-L", "unit", "-j", "2"], cwd=ROOT,
                          timeout=TESTS_S, check=False)
    return done.returncode == 0


def lines_of(objects: list[Path]) -> dict[str, dict[int, bool]]:
    """By file and line, whether any of these objects executed it; one that never ran executed nothing."""
    found: dict[str, dict[int, bool]] = defaultdict(dict)
    done = subprocess.run(["gcov", "--json-format", "--stdout", *objects], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=TESTS_S, check=True)
    for told in map(json.loads, filter(None, done.stdout.splitlines())):
        for file in told["files"]:
            name = os.path.relpath(Path(told["current_working_directory"]) / file["file"], ROOT)
            if not is_measured(name):
                continue
            for line in file["lines"]:
                number = line["line_number"]
                found[name][number] = found[name].get(number, False) or line["count"] > 0
    return found


def merge(parts) -> dict[str, dict[int, bool]]:
    whole: dict[str, dict[int, bool]] = defaultdict(dict)
    for part in parts:
        for name, lines in part.items():
            for number, was_run in lines.items():
                whole[name][number] = whole[name].get(number, False) or was_run
    return whole


def percent(counts: tuple[int, int]) -> float:
    return 100 * counts[0] / counts[1] if counts[1] else 100.0


def report(files: dict[str, dict[int, bool]]) -> float:
    modules: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, lines in files.items():
        for module in (os.path.dirname(name), "all"):
            modules[module][0] += sum(lines.values())
            modules[module][1] += len(lines)
    for module in sorted(modules, key=lambda name: (name == "all", name)):
        executed, lines = modules[module]
        print(f"{module:24} {executed:6} of {lines:6} lines  {percent((executed, lines)):5.1f} %")
    return percent(tuple(modules["all"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    good = run_tests(build)
    objects = sorted(build.rglob("*.gcno"))
    parts = [objects[at:at + 20] for at in range(0, len(objects), 20)]
    with ThreadPoolExecutor(2) as pool:
        covered = report(merge(pool.map(lines_of, parts)))
    if options.write:
        EXPECTED.write_text(f"{covered:.1f}\n", encoding="utf-8")
    if not good:
        print("some tests failed")
    print(f"{covered:.1f} % of the lines are executed by unit tests")
    if not EXPECTED.is_file():
        print("no figure is kept to compare it with: --write keeps this one in tests/coverage/expected.txt")
        return 0 if good else 1
    expected = float(EXPECTED.read_text(encoding="utf-8"))
    enough = covered >= expected - TOLERATED
    print(f"kept in the repository: {expected:.1f} %" + ("" if enough else ": new code lacks tests"))
    return 0 if good and enough else 1


if __name__ == "__main__":
    sys.exit(main())
