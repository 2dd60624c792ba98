#!/usr/bin/env python3
"""Measures a RAM unit of one gateway by vhost-user-scsi and by iSCSI over loopback TCP, in one run: 4 KiB random reads
and writes, without a guest. The gateway runs on core 0, the client on core 1. Rounds are interleaved, ratios are taken
within a round; the table shows medians, and the range of the ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from gateway import Checks, own_gateway  # noqa: E402

TARGET_CORE, CLIENT_CORE = 0, 1
NAME = "iqn.2026-11.io.sluice:vhost"
CASES = {
    "4 KiB read, QD1": ["--depth", 1],
    "4 KiB read, QD32": ["--depth", 32],
    "4 KiB read, QD128": ["--depth", 128],
    "4 KiB write, QD32": ["--depth", 32, "--write-percent", 100],
    "4 KiB write, QD128": ["--depth", 128, "--write-percent", 100],
}


def body(folder: Path) -> str:
    return ('[store.a]\ntype = "ram"\nsize = "512MiB"\n[target.main]\nluns = { 0 = "a" }\n'
            f'[[target.main.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:0"]\n'
            f'[[target.main.port]]\nfabric = "vhost"\nname = "5000c50012345678"\nsocket = "{folder}/vm.sock"\n')


def measure(command: list, case: list, pid: int, seconds: float) -> dict:
    words = [*command, "--core", CLIENT_CORE, "--target-pid", pid, "--region", 512 << 20, "--seconds", seconds,
             "--warm-up", min(0.5, seconds / 4), *case]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60 + 2 * seconds,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"vhost: {done.stderr.strip() or done.stdout.strip()}")
    report = json.loads(done.stdout)
    return {"iops": report["iops"], "cpu": report["target"]["cpu_s_per_million"], "p50": report["latency_us"]["p50"]}


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def show(name: str, rounds: list[tuple[dict, dict]]) -> None:
    vhost, tcp = ({key: statistics.median([pair[i][key] for pair in rounds]) for key in rounds[0][i]} for i in (0, 1))
    print(f"{name:20} {vhost['iops']:9.0f} {tcp['iops']:9.0f}  {spread([v['iops'] / t['iops'] for v, t in rounds]):18}"
          f" {vhost['cpu']:6.2f} {tcp['cpu']:6.2f}  {spread([v['cpu'] / t['cpu'] for v, t in rounds]):18}"
          f" {vhost['p50']:7.1f} {tcp['p50']:7.1f}")


def main() -> int:
    build = TOP / "build" / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", type=Path, default=build / "sluice")
    parser.add_argument("--client", type=Path, default=build / "sluice-load", help="of iSCSI")
    parser.add_argument("--vhost-client", type=Path, default=build / "sluice-vhost-load")
    parser.add_argument("--spin-us", type=int, default=0, help="the vhost client polls so long before it sleeps")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options = parser.parse_args()
    with own_gateway(options.sluice.resolve(), Checks()) as gateway:
        gateway.write(body(gateway.folder))
        gateway.config.write_text(gateway.config.read_text().replace("reactors = 2", "reactors = 1"))
        gateway.start()
        pid = gateway.process.pid
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {TARGET_CORE})
        by_vhost = [options.vhost_client, "--socket", gateway.folder / "vm.sock", "--spin-us", options.spin_us]
        by_tcp = [options.client, "--port", gateway.portal.rsplit(":", 1)[1], "--target", NAME]
        measure(by_tcp, ["--extent", 131072, "--sequential", "--write-percent", 100], pid, 2)  # touches the region
        print(f"{'':20} {'IOPS':>9} {'':9}  {'ratio':18} {'CPU s per million':>13}  {'ratio':18} {'p50 µs':>7}\n"
              f"{'':20} {'vhost':>9} {'TCP':>9}  {'':18} {'vhost':>6} {'TCP':>6}  {'':18} {'vhost':>7} {'TCP':>7}")
        for name, case in CASES.items():
            show(name, [(measure(by_vhost, case, pid, options.seconds), measure(by_tcp, case, pid, options.seconds))
                        for _ in range(options.rounds)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
