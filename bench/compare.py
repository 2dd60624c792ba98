#!/usr/bin/env python3
"""Measures sluice beside the null target (the ceiling) and Debian's tgt, and prints the ratios.

Every target runs on core 0 over a RAM unit, the client on core 1, over loopback TCP. Rounds are interleaved (ceiling,
sluice, tgt, ceiling, ...), ratios are taken within a round; the table shows their median and range. A target that is
not there is left out, and the output says so.
"""

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))
sys.path.insert(0, str(TOP / "bench"))

import plot  # noqa: E402
from targets import Ceiling, Sluice, Target, TargetError, Tgt, Unit  # noqa: E402

TARGET_CORE, CLIENT_CORE = 0, 1
REGION = 512 << 20

CASES = {
    "4 KiB read, QD1": ["--depth", "1"],
    "4 KiB write, QD1": ["--depth", "1", "--write-percent", "100"],
    "4 KiB read, QD32": ["--depth", "32"],
    "4 KiB write, QD32": ["--depth", "32", "--write-percent", "100"],
    "4 KiB 70/30, QD32": ["--depth", "32", "--write-percent", "30"],
    "4 KiB read, QD128": ["--depth", "128"],
    "4 KiB write, QD128": ["--depth", "128", "--write-percent", "100"],
    "4 KiB read, 4 sessions x QD32": ["--sessions", "4", "--depth", "32"],
    "4 KiB write, 4 sessions x QD32": ["--sessions", "4", "--depth", "32", "--write-percent", "100"],
    "128 KiB sequential read": ["--extent", "131072", "--sequential", "--depth", "8"],
    "128 KiB sequential write": ["--extent", "131072", "--sequential", "--depth", "8", "--write-percent", "100"],
}
QUICK = ["4 KiB read, QD1", "4 KiB read, QD128", "4 KiB write, QD128", "4 KiB read, 4 sessions x QD32",
         "4 KiB write, 4 sessions x QD32", "128 KiB sequential read", "128 KiB sequential write"]


def measure(client: Path, target: Target, case: list[str], seconds: float) -> dict:
    command = [client, "--port", target.port, "--target", target.iqn, "--lun", target.lun, "--core", CLIENT_CORE,
               "--target-pid", target.pid, "--region", REGION, "--seconds", seconds, "--warm-up", min(0.5, seconds / 4)]
    done = subprocess.run([*map(str, command), *case], capture_output=True, text=True, timeout=60 + 2 * seconds,
                          check=False)
    if done.returncode == 2:
        raise TargetError(f"{target.name}: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    if done.returncode != 0:
        raise TargetError(f"{target.name}: {report['errors']} errors, first: {report['first_error']}")
    return report


def touch(client: Path, target: Target) -> None:
    """Writes the region once, so that no target is measured while the system hands it its first pages, nor while it
    reads pages that were never written."""
    command = [client, "--port", target.port, "--target", target.iqn, "--lun", target.lun, "--core", CLIENT_CORE,
               "--region", REGION, "--extent", 131072, "--sequential", "--depth", 8, "--write-percent", 100,
               "--seconds", 0, "--warm-up", 0, "--count", REGION // 131072]
    subprocess.run([*map(str, command)], stdout=subprocess.DEVNULL, timeout=300, check=True)


def median(values: list[float]) -> float:
    return statistics.median(values)


def summarize(runs: dict[str, list[dict]]) -> dict[str, dict]:
    """Per target: medians over the rounds, and ratios of IOPS to every other target, taken within a round."""
    summary = {}
    for name, reports in runs.items():
        row = {key: median([report[key] for report in reports]) for key in ("iops", "mb_per_s")}
        row |= {key: median([report["latency_us"][key] for report in reports]) for key in ("p50", "p99", "p999")}
        row["cpu_s_per_million"] = median([report["target"]["cpu_s_per_million"] for report in reports])
        for other, base in runs.items():
            ratios = [mine["iops"] / theirs["iops"] for mine, theirs in zip(reports, base)]
            row[f"to_{other}"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
        summary[name] = row
    return summary


def ratio_text(row: dict, other: str) -> str:
    ratio = row.get(f"to_{other}")
    return f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})" if ratio else "-"


def print_case(case: str, summary: dict[str, dict]) -> None:
    print(f"\n{case}")
    print(f"  {'target':8} {'IOPS':>9} {'MB/s':>7} {'p50 us':>8} {'p99 us':>8} {'CPU s/M':>8}  "
          f"{'to ceiling':18} {'to tgt':18}")
    for name, row in summary.items():
        print(f"  {name:8} {row['iops']:9.0f} {row['mb_per_s']:7.0f} {row['p50']:8.0f} {row['p99']:8.0f} "
              f"{row['cpu_s_per_million']:8.2f}  {ratio_text(row, 'ceiling'):18} {ratio_text(row, 'tgt'):18}",
              flush=True)


def open_targets(stack: ExitStack, options: argparse.Namespace) -> list[Target]:
    wanted: list[Target] = [Ceiling(options.ceiling, TARGET_CORE, options.spin_us)]
    if options.sluice.exists():
        wanted.append(Sluice(options.sluice, [Unit("ram", "1GiB")], TARGET_CORE))
    else:
        print(f"left out: sluice ({options.sluice} is not built)")
    if Tgt.is_installed():
        wanted.append(Tgt(core=TARGET_CORE))
    else:
        print("left out: tgt (not installed)")
    return [stack.enter_context(target) for target in wanted if target.name not in options.without]


def parse() -> argparse.Namespace:
    build = TOP / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", type=Path, default=build / "sluice")
    parser.add_argument("--client", type=Path, default=build / "sluice-load")
    parser.add_argument("--ceiling", type=Path, default=build / "sluice-ceiling")
    parser.add_argument("--spin-us", type=int, default=50, help="the ceiling's spin before it sleeps, as sluice's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="seven cases, three rounds of one second")
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--without", action="append", default=[], help="leave out a target")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "bench")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 1.0
    return options


def main() -> int:
    options = parse()
    chosen = [case for case in (QUICK if options.quick else CASES)
              if not options.case or any(word in case for word in options.case)]
    results = {}
    try:
        with ExitStack() as stack:
            targets = open_targets(stack, options)
            for target in targets:
                touch(options.client, target)
            for case in chosen:
                runs: dict[str, list[dict]] = {target.name: [] for target in targets}
                for _ in range(options.rounds):
                    for target in targets:
                        runs[target.name].append(measure(options.client, target, CASES[case], options.seconds))
                results[case] = {"summary": summarize(runs), "runs": runs}
                print_case(case, results[case]["summary"])
    except (TargetError, subprocess.TimeoutExpired) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "compare.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "compare.svg").write_text(plot.bars({case: one["summary"] for case, one in results.items()}))
    print(f"\nwritten: {options.output}/compare.json, {options.output}/compare.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
