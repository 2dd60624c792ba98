#!/usr/bin/env python3
"""Measures an RBD image through sluice and iSCSI, through tgt's rbd store and iSCSI, and by fio's rbd engine alone,
which is the limit: one cluster on this machine (memstore, one OSD), one image, librbd's cache off for all.

Rounds are interleaved (fio, sluice, tgt, fio, ...), ratios are taken within a round; the table shows medians, and the
range of the ratios. CPU per I/O is that of the whole client process: librbd's threads and, for sluice and tgt, iSCSI.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import POOL, Cluster, ClusterError  # noqa: E402
from targets import Sluice, Target, TargetError, Tgt, Unit  # noqa: E402

IMAGE, REGION = "bench", 512 << 20

# case: pattern in the words of fio, queue depth, octets of an I/O
CASES = {
    "4 KiB read, QD1": ("randread", 1, 4096),
    "4 KiB write, QD1": ("randwrite", 1, 4096),
    "4 KiB read, QD32": ("randread", 32, 4096),
    "4 KiB write, QD32": ("randwrite", 32, 4096),
    "128 KiB sequential read, QD8": ("read", 8, 131072),
    "128 KiB sequential write, QD8": ("write", 8, 131072),
}


class TgtRbd(Tgt):
    """tgt with its rbd store."""

    def __init__(self, cluster: Cluster):
        super().__init__()
        self.cluster = cluster

    def make_unit(self) -> None:
        self._must("logicalunit", "new", "--tid", "1", "--lun", "1", "--bstype", "rbd", "--backing-store",
                   f"{POOL}/{IMAGE}", "--bsopts", f"conf={self.cluster.conf};id=sluice")


def by_fio(cluster: Cluster, case: tuple, seconds: float) -> dict:
    pattern, depth, octets = case
    command = ["fio", "--name=limit", "--ioengine=rbd", "--clientname=sluice", f"--pool={POOL}", f"--rbdname={IMAGE}",
               f"--rw={pattern}", f"--bs={octets}", f"--iodepth={depth}", f"--size={REGION}", "--time_based",
               f"--runtime={seconds:g}", "--ramp_time=1", "--randrepeat=0", "--output-format=json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, timeout=90 + 2 * seconds, check=False,
                          env=dict(os.environ, CEPH_CONF=str(cluster.conf)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise TargetError(f"fio: {done.stderr.strip() or done.stdout.strip()}")
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    side = job["write" if "write" in pattern else "read"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # fio counts the I/Os after its ramp; the CPU time is that of all, so it is set against the time of all.
    total = side["iops"] * (seconds + 1)
    latency = side["clat_ns"]["percentile"]
    return {"iops": side["iops"], "mb_per_s": side["bw_bytes"] / 1e6, "p50": latency["50.000000"] / 1e3,
            "p99": latency["99.000000"] / 1e3, "cpu_us": cpu / max(total, 1) * 1e6}


def by_load(client: Path, target: Target, case: tuple, seconds: float) -> dict:
    pattern, depth, octets = case
    command = [client, "--port", target.port, "--target", target.iqn, "--lun", target.lun, "--target-pid", target.pid,
               "--region", REGION, "--seconds", seconds, "--warm-up", 1, "--depth", depth, "--extent", octets]
    command += ["--write-percent", 100] if "write" in pattern else []
    command += [] if pattern.startswith("rand") else ["--sequential"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=90 + 2 * seconds, check=False)
    if done.returncode != 0:
        raise TargetError(f"{target.name}: {done.stderr.strip() or done.stdout.strip()}")
    report = json.loads(done.stdout)
    return {"iops": report["iops"], "mb_per_s": report["mb_per_s"], "p50": report["latency_us"]["p50"],
            "p99": report["latency_us"]["p99"], "cpu_us": report["target"]["cpu_s_per_million"]}


def fill(client: Path, target: Target) -> None:
    command = [client, "--port", target.port, "--target", target.iqn, "--region", REGION, "--extent", 131072,
               "--sequential", "--depth", 8, "--write-percent", 100, "--seconds", 0, "--warm-up", 0, "--count",
               REGION // 131072]
    subprocess.run([*map(str, command)], stdout=subprocess.DEVNULL, timeout=300, check=True)


def summarize(rounds: dict[str, list[dict]]) -> dict[str, dict]:
    summary = {}
    for name, runs in rounds.items():
        row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for other, base in rounds.items():
            ratios = [mine["iops"] / theirs["iops"] for mine, theirs in zip(runs, base)]
            row[f"to_{other}"] = [statistics.median(ratios), min(ratios), max(ratios)]
        summary[name] = row
    return summary


def print_case(case: str, summary: dict[str, dict]) -> None:
    print(f"\n{case}\n  {'':8} {'IOPS':>8} {'MB/s':>7} {'p50 us':>8} {'p99 us':>8} {'CPU us/IO':>10}  "
          f"{'to fio rbd':18} {'to tgt':18}")
    for name, row in summary.items():
        ratios = ["{:.2f} ({:.2f}-{:.2f})".format(*row[f"to_{other}"]) if f"to_{other}" in row else "-"
                  for other in ("fio", "tgt")]
        print(f"  {name:8} {row['iops']:8.0f} {row['mb_per_s']:7.0f} {row['p50']:8.0f} {row['p99']:8.0f} "
              f"{row['cpu_us']:10.1f}  {ratios[0]:18} {ratios[1]:18}", flush=True)


def main() -> int:
    build = TOP / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", type=Path, default=build / "sluice")
    parser.add_argument("--client", type=Path, default=build / "sluice-load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--without", action="append", default=[], choices=["fio", "tgt"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a setting of all clients and of the cluster, as in ceph.conf")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "bench" / "rbd.json")
    options = parser.parse_args()
    settings = {"rbd_cache": "false"} | dict(each.split("=", 1) for each in options.set)
    results = {}
    try:
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(images={IMAGE: "1G"}, settings=settings))
            sluice = stack.enter_context(Sluice(options.sluice, [Unit("rbd", store=cluster.store_keys(IMAGE))]))
            by = {"fio": lambda case: by_fio(cluster, case, options.seconds),
                  "sluice": lambda case: by_load(options.client, sluice, case, options.seconds)}
            if "tgt" not in options.without:
                tgt = stack.enter_context(TgtRbd(cluster))
                by["tgt"] = lambda case: by_load(options.client, tgt, case, options.seconds)
            if "fio" in options.without:
                del by["fio"]
            fill(options.client, sluice)
            for name, case in CASES.items():
                if options.case and not any(word in name for word in options.case):
                    continue
                rounds: dict[str, list[dict]] = {each: [] for each in by}
                for _ in range(options.rounds):
                    for each, measure in by.items():
                        rounds[each].append(measure(case))
                        time.sleep(0.2)
                results[name] = {"summary": summarize(rounds), "rounds": rounds}
                print_case(name, results[name]["summary"])
    except (ClusterError, TargetError, subprocess.SubprocessError) as error:
        print(f"rbd: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
