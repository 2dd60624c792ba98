#!/usr/bin/env python3
"""Runs libiscsi's iscsi-test-cu over sluice and holds every test against expected.txt.

Runs: one-path, two-paths, chap (the whole suite each), read-only (the write-protected unit), physical-blocks (the
suites that ask for more than one logical block in a physical one, over a file); and when it is asked for two-gateways,
whose paths lead to different gateways of one Ceph cluster. Skips are counted apart from passes, a test that did not run
is a failure. `--target tgt` runs Debian's tgt instead and only counts: that is how the parser
itself is checked. `--tool debian13` downloads Debian 13's tool and runs that, suite by suite.
"""

import argparse
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster, ClusterError  # noqa: E402
from debian import DebianError  # noqa: E402
from expected import Expectations  # noqa: E402
from log import Outcome, is_complete, parse  # noqa: E402
from nodes import IMAGE, gateways  # noqa: E402
from targets import Chap, Sluice, Target, TargetError, Tgt, Unit  # noqa: E402
from tool import TOOLS, Tool, ToolError  # noqa: E402

RUNS = ["one-path", "two-paths", "chap", "read-only", "physical-blocks"]
TWO_GATEWAYS = "two-gateways"
TESTS = {"read-only": ["ALL.ReadOnly"],
         "physical-blocks": ["ALL.CompareAndWrite", "ALL.WriteSame10", "ALL.WriteSame16"]}  # else the whole suite
READ_ONLY_LUN = 1
INITIATORS = ["iqn.2026-11.io.sluice:cu-1", "iqn.2026-11.io.sluice:cu-2"]


def open_target(options: argparse.Namespace, run: str, cluster: Cluster | None) -> Target:
    chap = Chap() if run == "chap" else None
    if options.target == "tgt":
        return Tgt(size=256 << 20, chap=chap)
    store = "file" if run == "physical-blocks" else options.store
    keys = cluster.store_keys("cu") if cluster and store == "rbd" else {}
    cache = {"ram": "32MiB", "mode": options.cache} if options.cache else {}
    if options.cache == "write-back":
        cache |= {"flash.path": "flash", "flash.size": "128MiB"}
    units = [Unit(store, "256MiB", keys={"thin": True}, store=keys, cache=cache),
             Unit("ram", "64MiB", keys={"read_only": True})]
    return Sluice(options.sluice, units, chap=chap, initiators=INITIATORS, port={"cold_reset": True})


@contextmanager
def served(options: argparse.Namespace, run: str, cluster: Cluster | None):
    """The paths to the unit as the tool's addresses, and a function that says whether all that serves it is alive."""
    if run == TWO_GATEWAYS:
        with gateways(options.sluice, cluster, 2) as nodes:
            yield [node.url() for node in nodes], lambda: all(node.is_alive() for node in nodes)
        return
    chap = Chap() if run == "chap" else None
    with open_target(options, run, cluster) as target:
        paths = 2 if run == "two-paths" else 1
        yield ([target.url(READ_ONLY_LUN if run == "read-only" else None, chap)] * paths,
               lambda: target.process.poll() is None)


def run_tool(tool: Tool, urls: list[str], tests: str, options: argparse.Namespace) -> str:
    """The tool's log; what there is of it when the time runs out."""
    command = ["stdbuf", "-oL", *tool.command, "--dataloss", "-v", "-t", tests, "-i", INITIATORS[0],
               "-I", INITIATORS[1]]
    if options.target == "sluice":
        command.append("-S")
    try:
        done = subprocess.run([*command, *urls], capture_output=True, timeout=options.limit, check=False)
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"") + (late.stderr or b"")
    return output.decode(errors="replace")


def count(outcomes: dict[str, Outcome], status: str) -> int:
    return sum(outcome.status == status for outcome in outcomes.values())


def run_once(options: argparse.Namespace, run: str, tool: Tool, cluster: Cluster | None) -> tuple[int, int, int]:
    """One run; prints its summary and what is wrong. How many passed, are wrong, were skipped."""
    with served(options, run, cluster) as (urls, are_alive):
        logs = [run_tool(tool, urls, tests, options)
                for tests in ([options.test] if options.test else TESTS.get(run, tool.suites or ["ALL"]))]
        alive = are_alive()
    options.output.mkdir(parents=True, exist_ok=True)
    text = "".join(logs)
    (options.output / f"{run}.log").write_text(text)
    outcomes = parse(text)
    wrong = [] if all(map(is_complete, logs)) else [f"the tool did not come to its end within {options.limit} s"]
    if not alive:
        wrong.append("the target died")
    if options.target == "sluice" and not options.test:
        store = "rbd" if run == TWO_GATEWAYS else options.store
        wrong += Expectations.of_tool(options.tool).differences(run, outcomes, store)
    elif options.test and not outcomes:
        wrong.append(f"no test is called {options.test}")
    for line in wrong:
        print(f"  {line}")
    print(f"{run}: {count(outcomes, 'passed')} passed, {count(outcomes, 'failed')} failed, "
          f"{count(outcomes, 'skipped')} skipped", flush=True)
    if options.verbose:
        for name, outcome in outcomes.items():
            print(f"  {name} {outcome.status} {outcome.reason}")
    return count(outcomes, "passed"), len(wrong), count(outcomes, "skipped")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    parser.add_argument("--target", choices=["sluice", "tgt"], default="sluice")
    parser.add_argument("--store", choices=["ram", "file", "rbd"], default="ram",
                        help="of the unit; rbd: an image on a Ceph cluster that is started for it")
    parser.add_argument("--cache", choices=["write-through", "write-around", "write-back"],
                         help="a cache in that mode over the store")
    parser.add_argument("--tool", choices=TOOLS, default="installed")
    parser.add_argument("--run", choices=[*RUNS, TWO_GATEWAYS], action="append")
    parser.add_argument("--test", help="only this suite or test, e.g. ALL.ProutReserve; not held to the list")
    parser.add_argument("--limit", type=int, default=240, help="seconds for one run")
    parser.add_argument("--verbose", action="store_true", help="print every test")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "conformance", help="where the logs go")
    options = parser.parse_args()
    runs = options.run or ([run for run in RUNS if run not in TESTS] if options.target == "tgt" else RUNS)
    try:
        tool = TOOLS[options.tool](TOP / "build" / options.tool)
        needs_cluster = options.store == "rbd" or TWO_GATEWAYS in runs
        images = {"cu": "256M", IMAGE: "256M"}
        with Cluster(images=images) if needs_cluster else nullcontext() as cluster:
            results = [run_once(options, run, tool, cluster) for run in runs]
    except (ClusterError, DebianError, TargetError, ToolError, FileNotFoundError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    passed, wrong, skipped = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {wrong} failed, {skipped} skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
