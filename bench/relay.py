#!/usr/bin/env python3
"""Measures a unit that two gateways share through its owner and through the other gateway, which relays to the owner:
a Ceph cluster (memstore, one OSD), both gateways and the initiator on one machine. Rounds are interleaved, ratios are
taken within a round; the table shows medians, and the range of the ratios."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "tests" / "harness"), str(TOP / "tests" / "ceph")]

from ceph import Cluster  # noqa: E402
from gateways import TARGET, Node  # noqa: E402

REGION = 48 << 20
CASES = {
    "4 KiB read, QD1": ["--depth", 1],
    "4 KiB write, QD1": ["--depth", 1, "--write-percent", 100],
    "4 KiB read, QD32": ["--depth", 32],
    "4 KiB write, QD32": ["--depth", 32, "--write-percent", 100],
    "128 KiB sequential read, QD8": ["--depth", 8, "--extent", 131072, "--sequential"],
    "128 KiB sequential write, QD8": ["--depth", 8, "--extent", 131072, "--sequential", "--write-percent", 100],
}


def measure(client: Path, node: Node, case: list, seconds: float) -> dict:
    command = [client, "--port", node.port, "--target", TARGET, "--region", REGION, "--warm-up", 0.5, *case,
               "--seconds", seconds]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60 + 2 * seconds, check=False)
    if done.returncode != 0:
        sys.exit(f"{node.name}: {done.stderr.strip() or done.stdout.strip()}")
    report = json.loads(done.stdout)
    return {"iops": report["iops"], "p50": report["latency_us"]["p50"], "p99": report["latency_us"]["p99"]}


def main() -> int:
    build = TOP / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", type=Path, default=build / "sluice")
    parser.add_argument("--client", type=Path, default=build / "sluice-load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options = parser.parse_args()
    nodes: list[Node] = []
    with Cluster(images={"shared": "64M"}) as cluster, tempfile.TemporaryDirectory(prefix="sluice-relay-") as folder:
        try:
            for number in range(2):
                nodes.append(Node(options.sluice.resolve(), Path(folder), number, cluster))
                nodes[-1].start()
            owner = next(node for node in nodes if node.owner() == node.name)
            other = next(node for node in nodes if node is not owner)
            measure(options.client, owner, [*CASES["128 KiB sequential write, QD8"]], 2)
            for name, case in CASES.items():
                rounds = [(measure(options.client, owner, case, options.seconds),
                           measure(options.client, other, case, options.seconds)) for _ in range(options.rounds)]
                ratios = sorted(relayed["iops"] / direct["iops"] for direct, relayed in rounds)
                more = statistics.median(relayed["p50"] - direct["p50"] for direct, relayed in rounds)
                print(f"\n{name}: through the other gateway {statistics.median(ratios):.2f} of the owner's IOPS "
                      f"({ratios[0]:.2f}-{ratios[-1]:.2f}), {more:+.0f} us at the median")
                for which, by in ((0, "owner"), (1, "other")):
                    row = {key: statistics.median(each[which][key] for each in rounds) for key in rounds[0][which]}
                    print(f"  {by}  {row['iops']:8.0f} IOPS  p50 {row['p50']:7.0f} us  p99 {row['p99']:7.0f} us",
                          flush=True)
        finally:
            for node in nodes:
                if node.process:
                    node.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
