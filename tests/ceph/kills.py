#!/usr/bin/env python3
"""Verified I/O through iSCSI while the OSD and the monitor are killed (SIGKILL) and come back, five times: not one
wrong block, no error, no session dropped. Two initiators at once: fio (verify=crc32c) by way of qemu-nbd, which speaks
iSCSI through libiscsi, on one image, and sluice-load --verify on another.

usage: kills.py [PROGRAM]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster, ClusterError  # noqa: E402
from targets import Sluice, TargetError, Unit, spawn  # noqa: E402

VICTIMS = ["osd.0", "mon.a", "osd.0", "mon.a", "osd.0"]
SECONDS, RATE = 65, 400


class Wrong(Exception):
    """What must not happen."""


def start_fio(gateway: Sluice, log: Path) -> tuple[subprocess.Popen, subprocess.Popen]:
    socket = gateway.folder / "nbd"
    bridge = spawn(["qemu-nbd", "--persistent", "--socket", socket, "--format", "raw", "--cache", "none",
                    gateway.url(0)])
    for _ in range(100):
        if socket.exists():
            break
        time.sleep(0.1)
    octets = SECONDS * RATE * 4096
    with log.open("wb") as out:
        fio = spawn(["fio", "--name=kills", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", "--rw=randwrite",
                     "--bs=4k", "--iodepth=16", f"--size={octets}", f"--rate_iops={RATE}", "--verify=crc32c",
                     "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--randrepeat=0",
                     "--output-format=json"], stdout=out, stderr=subprocess.STDOUT)
    return bridge, fio


def kill_and_bring_back(cluster: Cluster, running: subprocess.Popen) -> int:
    kills = 0
    for victim in VICTIMS:
        time.sleep(3)
        if running.poll() is not None:
            break
        cluster.kill(victim)
        time.sleep(2)
        cluster.up(victim)
        kills += 1
        time.sleep(6)
    return kills


def look_at_fio(log: Path, status: int) -> str:
    text = log.read_text()
    if status != 0:
        raise Wrong(f"fio ended with status {status}:\n{text[-2000:]}")
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"] or job["read"]["total_ios"] < job["write"]["total_ios"]:
        raise Wrong(f"fio wrote {job['write']['total_ios']} blocks and verified {job['read']['total_ios']}")
    return f"fio wrote and verified {job['write']['total_ios']} blocks"


def run(options: argparse.Namespace) -> str:
    with Cluster(store="bluestore") as cluster:
        units = [Unit("rbd", store=cluster.store_keys(name, create=True, size="256MiB")) for name in ("fio", "load")]
        with Sluice(options.sluice, units) as gateway:
            log = gateway.folder / "fio.json"
            bridge, fio = start_fio(gateway, log)
            load = spawn([options.sluice.parent / "sluice-load", "--port", gateway.port, "--target", gateway.iqn,
                          "--lun", 1, "--initiator", "iqn.2026-11.io.sluice:tester", "--depth", 8,
                          "--write-percent", 60, "--verify", "--region", 64 << 20, "--seconds", SECONDS - 10],
                         stdout=subprocess.PIPE)
            try:
                kills = kill_and_bring_back(cluster, fio)
                report, _ = load.communicate(timeout=120)
                fio_status = fio.wait(120)
                dropped = gateway.log.read_text().count("nexus: session ended")
            finally:
                for process in (load, fio, bridge):
                    process.kill()
                    process.wait()
            said = look_at_fio(log, fio_status)
            load_report = json.loads(report)
            if load.returncode != 0 or load_report["errors"]:
                raise Wrong(f"sluice-load: {report.decode()}")
            if kills < len(VICTIMS):
                raise Wrong(f"the load ended after {kills} kills")
            # Of the load's own session at its end, at most.
            if dropped > 1:
                raise Wrong(f"{dropped} sessions ended:\n{gateway.log_tail()}")
            return (f"{kills} kills; {said}; sluice-load ran at {load_report['iops']:.0f} IOPS and found every block "
                    "right; no session was dropped")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    options = parser.parse_args()
    try:
        print(run(options))
    except (Wrong, ClusterError, TargetError, OSError, subprocess.TimeoutExpired, ValueError) as error:
        print(f"kills: {error}\n0 passed, 1 failed")
        return 1
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
