#!/usr/bin/env python3
"""A Prometheus scrapes a gateway under load; its count, its histogram and `sluice status` agree. Skipped where there is
no Prometheus. usage: prometheus.py PROGRAM"""
import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway  # noqa: E402
from looking import Reader, Scene, free_port  # noqa: E402

LIMIT_S = 30
LOAD_S = 3
READS = '{unit="hot",class="read"}'


class Prometheus:
    """Scrapes the gateway's /metrics ten times a second."""

    def __init__(self, program: str, folder: pathlib.Path, target: int):
        self.port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(f"""global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs:
  - job_name: sluice
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
""", encoding="utf-8")
        self.process = subprocess.Popen(
            [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'series'}",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"], start_new_session=True)

    def ask(self, query: str) -> float | None:
        """The value of the one series that the query has; None: none yet."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def wait_for(self, query: str, wanted) -> float | None:
        deadline = time.monotonic() + LIMIT_S
        while (value := self.ask(query)) is None or not wanted(value):
            if time.monotonic() > deadline:
                return value
            time.sleep(0.1)
        return value

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def reads_of(scene) -> dict:
    return next(c for c in scene.gateway.ask("status")["units"][0]["commands"] if c["class"] == "read")


def compare(scene, prometheus: Prometheus) -> None:
    with Reader(scene):
        time.sleep(LOAD_S)
        rate = prometheus.wait_for(f"rate(sluice_unit_latency_seconds_count{READS}[2s])", lambda value: value > 0)
        scene.check(f"it sees the load while it runs: {rate} reads a second", rate is not None and rate > 0)
    told = reads_of(scene)
    seen = prometheus.wait_for(f"sluice_unit_latency_seconds_count{READS}", lambda value: value == told["count"])
    scene.check(f"it counts the {told['count']} reads that status counts: {seen}", seen == told["count"])
    all_reads = prometheus.ask('sluice_unit_latency_seconds_bucket{unit="hot",class="read",le="+Inf"}')
    scene.check("the buckets hold all of them", all_reads == told["count"])
    for share, key in ((0.5, "p50_us"), (0.99, "p99_us")):
        buckets = f"sluice_unit_latency_seconds_bucket{READS}"
        value = prometheus.ask(f"histogram_quantile({share}, {buckets})")
        # Within the bucket that status names: edges are a factor of two apart at most.
        agrees = value is not None and told[key] / 2 <= value * 1e6 <= told[key] * 2
        scene.check(f"percentile {share}: {value} s, status says {told[key]} us", agrees)


def main(program: str) -> int:
    checks = Checks()
    found = shutil.which("prometheus")
    if not found:
        checks.skip("a scrape by Prometheus", "it is not installed")
        return checks.end()
    with own_gateway(program, checks) as gateway:
        scene = Scene(gateway, checks)
        gateway.start()
        with Prometheus(found, gateway.folder, scene.http) as prometheus:
            compare(scene, prometheus)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
