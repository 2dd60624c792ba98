#!/usr/bin/env python3
"""Measures what tiers cost and what they gain, through iSCSI: one gateway, units side by side.

    hit          a cache whose RAM holds all, beside the RAM store itself
    miss         a cache that holds nothing of it, beside the file store below it: one whose file is in the page cache,
                 which is the least that a store below can cost, and one that reads past it
    flash hit    a cache whose flash holds all, over a store that takes 2 ms, beside that store and a file store
    write-back   a burst of durable writes into a write-back cache over a store that takes 20 ms, beside that store, and
                 a file store on the cache's disk that makes each write durable: the speed of the flash itself
    in memory    a burst into a write-back cache in memory over such a store

    miss, RBD    with --ceph: the same beside an RBD image, on a cluster of its own

The gateway runs on core 0, the client on core 1. Rounds are interleaved, ratios are taken within a round; the table
shows medians, and the range of the ratios. Files lie in --folder, which should be on a flash device.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster, ClusterError  # noqa: E402
from targets import Sluice, TargetError  # noqa: E402

GATEWAY_CORE, CLIENT_CORE = 0, 1
REGION = 256 << 20

STORES = """
[store.ram]
type = "ram"
size = "256MiB"
[store.ram-below]
type = "ram"
size = "256MiB"
[store.hot]
type = "cache"
over = "ram-below"
ram = "512MiB"
bypass = "0B"

[store.file]
type = "file"
path = "{folder}/image"
size = "256MiB"
[store.file-below]
type = "file"
path = "{folder}/image-below"
size = "256MiB"
[store.cold]
type = "cache"
over = "file-below"
ram = "1MiB"

[store.direct]
type = "file"
path = "{folder}/direct"
size = "256MiB"
direct = true
[store.direct-below]
type = "file"
path = "{folder}/direct-below"
size = "256MiB"
direct = true
[store.cold-direct]
type = "cache"
over = "direct-below"
ram = "1MiB"

[store.slow-ram]
type = "ram"
size = "256MiB"
[store.slow]
type = "fault"
over = "slow-ram"
delay = "2 ms"
[store.slow-ram-below]
type = "ram"
size = "256MiB"
[store.slow-below]
type = "fault"
over = "slow-ram-below"
delay = "2 ms"
[store.flash]
type = "cache"
over = "slow-below"
ram = "16MiB"
bypass = "0B"
flash = {{ path = "{folder}/flash", size = "1GiB" }}

[store.far-ram]
type = "ram"
size = "256MiB"
[store.far]
type = "fault"
over = "far-ram"
delay = "20 ms"
[store.far-ram-behind]
type = "ram"
size = "256MiB"
[store.far-behind]
type = "fault"
over = "far-ram-behind"
delay = "20 ms"
[store.back]
type = "cache"
over = "far-behind"
ram = "16MiB"
mode = "write-back"
flash = {{ path = "{folder}/journal", size = "2GiB", dirty = "1GiB" }}
[store.far-ram-below]
type = "ram"
size = "256MiB"
[store.far-below]
type = "fault"
over = "far-ram-below"
delay = "20 ms"
[store.memory]
type = "cache"
over = "far-below"
ram = "16MiB"
mode = "write-back"
volatile_dirty = "3GiB"
"""
RBD_STORES = """
[store.image]
type = "rbd"
conf = "{conf}"
user = "sluice"
pool = "rbd"
image = "a"
[store.image-below]
type = "rbd"
conf = "{conf}"
user = "sluice"
pool = "rbd"
image = "b"
[store.cold-image]
type = "cache"
over = "image-below"
ram = "1MiB"
"""
UNITS = ["ram", "hot", "file", "cold", "direct", "cold-direct", "slow", "flash", "far", "back", "memory"]

READ, WRITE = [], ["--write-percent", "100"]
# what is measured: the units, the load, the unit that ratios are taken to
CASES = {
    "hit, QD1": (["ram", "hot"], [*READ, "--depth", "1"]),
    "hit, QD128": (["ram", "hot"], [*READ, "--depth", "128"]),
    "hit, 4 sessions x QD32": (["ram", "hot"], [*READ, "--sessions", "4", "--depth", "32"]),
    "miss, QD1": (["file", "cold"], [*READ, "--depth", "1"]),
    "miss, QD32": (["file", "cold"], [*READ, "--depth", "32"]),
    "miss, direct, QD1": (["direct", "cold-direct"], [*READ, "--depth", "1"]),
    "miss, direct, QD32": (["direct", "cold-direct"], [*READ, "--depth", "32"]),
    "flash hit, QD1": (["slow", "flash", "file"], [*READ, "--depth", "1"]),
    "flash hit, QD32": (["slow", "flash", "file"], [*READ, "--depth", "32"]),
    "write-back, QD1": (["far", "back", "file"], [*WRITE, "--fua", "--depth", "1"]),
    "write-back, QD32": (["far", "back", "file"], [*WRITE, "--fua", "--depth", "32"]),
    "in memory, QD1": (["far", "memory"], [*WRITE, "--depth", "1"]),
    "in memory, QD32": (["far", "memory"], [*WRITE, "--depth", "32"]),
}
RBD_UNITS = ["image", "cold-image"]
RBD_CASES = {
    "miss, RBD, QD1": (RBD_UNITS, [*READ, "--depth", "1"]),
    "miss, RBD, QD32": (RBD_UNITS, [*READ, "--depth", "32"]),
}


class Tiers(Sluice):
    """One gateway with a unit for each store of interest."""

    def __init__(self, program: Path, folder: Path, conf: Path | None):
        """`conf`: of the Ceph cluster, where there is one."""
        self.stores = STORES.format(folder=folder) + (RBD_STORES.format(conf=conf) if conf else "")
        super().__init__(program, core=GATEWAY_CORE)

    def write_configuration(self, units, chap, initiators) -> None:
        text = (f'[gateway]\nname = "bench"\nstate_dir = "{self.folder}/state"\nreactors = [{self.core}]\n'
                f'control = "{self.folder}/control.sock"\n' + self.stores)
        text += "".join(f'\n[unit.{name}]\nstore = "{name}"\n' for name in UNITS)
        luns = ", ".join(f'{number} = "{name}"' for number, name in enumerate(UNITS))
        text += f"\n[target.main]\nluns = {{ {luns} }}\n"
        text += f'\n[[target.main.port]]\nfabric = "iscsi"\nname = "{self.iqn}"\nlisten = ["127.0.0.1:{self.port}"]\n'
        self.config.write_text(text)

    def figures(self, store: str) -> dict:
        told = subprocess.run([self.program, "status", "--json", "--control", self.folder / "control.sock"],
                              capture_output=True, text=True, timeout=30, check=True)
        return next(each["figures"] for each in json.loads(told.stdout)["stores"] if each["name"] == store)


def load(client: Path, target: Tiers, unit: str, *more) -> dict:
    command = [client, "--port", target.port, "--target", target.iqn, "--lun", UNITS.index(unit), "--core", CLIENT_CORE,
               "--target-pid", target.pid, "--region", REGION, *more]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise TargetError(f"{unit}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)


def fill(client: Path, target: Tiers) -> None:
    """Writes every unit, then reads what is to be hot until it is."""
    whole = ["--seconds", 0, "--warm-up", 0, "--depth", 32]
    for unit in UNITS:
        load(client, target, unit, *whole, "--extent", 131072, "--sequential", "--write-percent", 100, "--count",
             REGION // 131072)
    load(client, target, "hot", *whole, "--extent", 4096, "--sequential", "--count", REGION // 4096)
    for seed in range(12):
        load(client, target, "flash", *whole, "--extent", 4096, "--count", REGION // 4096, "--seed", seed + 1,
             "--sessions", 4)


def summarize(runs: dict[str, list[dict]]) -> dict[str, dict]:
    base = next(iter(runs.values()))
    summary = {}
    for name, reports in runs.items():
        ratios = [mine["iops"] / theirs["iops"] for mine, theirs in zip(reports, base)]
        summary[name] = {"iops": statistics.median(each["iops"] for each in reports),
                         "p50": statistics.median(each["latency_us"]["p50"] for each in reports),
                         "p99": statistics.median(each["latency_us"]["p99"] for each in reports),
                         "cpu_us": statistics.median(each["target"]["cpu_s_per_million"] for each in reports),
                         "ratio": [statistics.median(ratios), min(ratios), max(ratios)]}
    return summary


def print_case(case: str, summary: dict[str, dict]) -> None:
    first = next(iter(summary))
    print(f"\n{case}\n  {'':8} {'IOPS':>8} {'p50 us':>8} {'p99 us':>8} {'CPU us/IO':>10}  to {first}")
    for name, row in summary.items():
        ratio = "{:.2f} ({:.2f}-{:.2f})".format(*row["ratio"])
        print(f"  {name:8} {row['iops']:8.0f} {row['p50']:8.0f} {row['p99']:8.0f} {row['cpu_us']:10.1f}  {ratio}",
              flush=True)


def main() -> int:
    build = TOP / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", type=Path, default=build / "sluice")
    parser.add_argument("--client", type=Path, default=build / "sluice-load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--folder", type=Path, help="where files lie; default: a temporary folder")
    parser.add_argument("--ceph", action="store_true", help="also over RBD")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "bench" / "tiers.json")
    options = parser.parse_args()
    results = {}
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-tiers-", dir=options.folder))
            cases, conf = CASES, None
            if options.ceph:
                conf = stack.enter_context(Cluster(images={"a": "256M", "b": "256M"})).conf
                UNITS.extend(RBD_UNITS)
                cases = CASES | RBD_CASES
            gateway = stack.enter_context(Tiers(options.sluice, Path(folder), conf))
            fill(options.client, gateway)
            for name, (units, case) in cases.items():
                if options.case and not any(word in name for word in options.case):
                    continue
                runs: dict[str, list[dict]] = {unit: [] for unit in units}
                for _ in range(options.rounds):
                    for unit in units:
                        runs[unit].append(load(options.client, gateway, unit, *case, "--seconds", options.seconds,
                                               "--warm-up", 0.5))
                results[name] = {"summary": summarize(runs), "rounds": runs}
                print_case(name, results[name]["summary"])
            for store in ("hot", "cold", "flash", "back", "memory"):
                print(f"\n{store}: " + ", ".join(f"{key} {value}" for key, value in gateway.figures(store).items()))
            gateway.kill()  # an orderly end would bring below what memory holds, at the pace of the slow store
    except (ClusterError, TargetError, subprocess.SubprocessError) as error:
        print(f"bench/tiers.py: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
