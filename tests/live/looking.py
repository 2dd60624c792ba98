#!/usr/bin/env python3
"""What an operator sees while hosts are at work: `sluice top` on a terminal and as JSON, /metrics, errors in JSON, and
what `sluice check --probe` says of files. usage: looking.py PROGRAM"""
import http.client
import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import Initiator, read_16  # noqa: E402

NAME = "iqn.2026-11.io.sluice:looking"
HOST = "iqn.2026-11.io.sluice:host"
QUIT_S = 5
NO_SUCH_PAGE = bytes([0x12, 1, 0xB7, 0, 255, 0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Scene:
    def __init__(self, gateway, checks):
        self.gateway, self.check, self.checks = gateway, checks.check, checks
        self.http = free_port()
        self.disk = gateway.folder / "disk.raw"
        gateway.write(
            f'http = "127.0.0.1:{self.http}"\n[store.disk]\ntype = "file"\npath = "{self.disk}"\nsize = "16MiB"\n'
            '[store.hot]\ntype = "cache"\nover = "disk"\nram = "4MiB"\nmode = "write-back"\nvolatile_dirty = "16MiB"\n'
            '[target.t]\nluns = { 0 = "hot" }\n'
            f'[[target.t.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:0"]\n')

    def log_in(self) -> Initiator:
        host = Initiator(int(self.gateway.portal.rsplit(":", 1)[1]), NAME, HOST)
        while host.execute(bytes(6)).status:  # until its unit attentions are told
            pass
        return host

class Reader(threading.Thread):
    """A host that reads all the time."""

    def __init__(self, scene):
        super().__init__()
        self.scene, self.over = scene, False
        self.start()

    def run(self):
        with self.scene.log_in() as host:
            while not self.over:
                host.execute(read_16(0, 8), data_in_length=4096)

    def __enter__(self):
        while not self.scene.gateway.session_ids(HOST):
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.over = True
        self.join()


def rates(scene):
    with Reader(scene):
        looks = [json.loads(line) for line in
                 scene.gateway.run("top", "--interval", "300ms", "--count", "2", "--json").stdout.splitlines()]
    read = [c for look in looks for c in look["commands"] if c["class"] == "read"]
    scene.check("top tells the rate of each interval", len(looks) == 2 and all(c["per_s"] > 0 for c in read))
    scene.check("and its percentiles", all(0 < c["p50_us"] <= c["p99_us"] <= c["max_us"] for c in read))
    scene.check("and all together", all(look["total"]["per_s"] >= look["commands"][0]["per_s"] for look in looks))
    scene.check("and who it is",
                [s["initiator"].split(",")[0] for s in looks[-1]["sessions"]] == [HOST]
                and looks[-1]["sessions"][0]["per_s"] > 0)
    idle = json.loads(scene.gateway.run("top", "--interval", "200ms", "--count", "1", "--json").stdout)
    scene.check("nothing is told of what was before", idle["commands"] == [] and idle["total"]["per_s"] == 0)


def keys(scene):
    """On a terminal: it is shown, `q` ends it, and the terminal is as it was."""
    for how, key in (("q", b"q"), ("an interrupt", b"\x03")):
        terminal, end = pty.openpty()
        before = termios.tcgetattr(end)
        look = subprocess.Popen([scene.gateway.program, "top", "--interval", "10s", "--control",
                                 str(scene.gateway.socket)], stdin=end, stdout=end, stderr=end, start_new_session=True)
        try:
            deadline = time.monotonic() + QUIT_S
            while termios.tcgetattr(end)[3] & termios.ECHO and time.monotonic() < deadline:
                time.sleep(0.02)
            scene.check(f"{how}: keys are not shown", not termios.tcgetattr(end)[3] & termios.ECHO)
            if key == b"\x03":
                look.send_signal(2)
            else:
                os.write(terminal, key)
            status = look.wait(QUIT_S)
            scene.check(f"{how} ends top at once, and well", status == 0)
            scene.check(f"{how}: the terminal is as it was", termios.tcgetattr(end) == before)
        finally:
            look.kill()
            look.wait()
            os.close(terminal)
            os.close(end)


def counts(scene):
    with scene.log_in() as host:
        before = {c["class"]: c for c in scene.gateway.ask("status")["units"][0]["commands"]}
        host.execute(NO_SUCH_PAGE, data_in_length=255)
        host.execute(read_16(1 << 40, 8), data_in_length=4096)
        after = {c["class"]: c for c in scene.gateway.ask("status")["units"][0]["commands"]}
    other = [after["other"][key] - before["other"][key] for key in ("errors", "unsupported")]
    scene.check("a page that is not there is no error", other == [0, 1])
    failed = before.get("read", {"errors": 0})["errors"]
    scene.check("a block that is not there is one", after["read"]["errors"] == failed + 1)
    scene.check("unit attentions are counted apart", sum(c["attentions"] for c in after.values()) > 0)


def metrics(scene):
    connection = http.client.HTTPConnection("127.0.0.1", scene.http, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    samples = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    scene.check("logins are counted", float(samples['sluice_logins_total{kind="session"}']) > 0)
    free, size = (float(samples[f'sluice_filesystem_{what}_bytes{{of="gateway.state_dir"}}'])
                  for what in ("free", "size"))
    scene.check("there is room for the state", 0 < free <= size)
    scene.check("and for the disk", 'sluice_filesystem_free_bytes{of="store.disk.path"}' in samples)
    used, limit = (float(samples[f'sluice_reactor_buffers_{what}_bytes{{reactor="0"}}']) for what in ("used", "limit"))
    scene.check("buffers are within their limit", 0 <= used <= limit)
    promtool = shutil.which("promtool")
    if not promtool:
        return scene.checks.skip("promtool on the metrics", "it is not installed")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False)
    scene.check(f"promtool finds nothing: {done.stdout}{done.stderr}", done.returncode == 0 and not done.stderr)
    rules = pathlib.Path(__file__).resolve().parent.parent.parent / "packaging/prometheus-rules.yml"
    done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, timeout=30, check=False)
    scene.check(f"nor in the alerts: {done.stdout}{done.stderr}", done.returncode == 0)


def documents(scene):
    shown = scene.gateway.ask("session", "ls")
    scene.check("session ls --json has sessions only", sorted(shown) == ["connections", "sessions"])
    shown = scene.gateway.ask("ls")
    scene.check("ls --json has what ls shows", sorted(shown) == ["gateway", "stores", "targets", "units"]
                and "commands" not in shown["units"][0])
    shown = scene.gateway.ask("events")
    scene.check("events --json is as documented", sorted(shown) == ["events", "next"] and shown["events"])
    for words in (("session", "kick", "4711"), ("session", "kick"), ("pr", "show", "nobody"),
                  ("unit", "resize", "nobody", "1GiB"), ("top", "--interval", "never")):
        done = scene.gateway.run(*words, "--json", check=False)
        told = json.loads(done.stdout)
        scene.check(f"{' '.join(words)}: its error is JSON too",
                    done.returncode == 1 and told["ok"] is False and told["error"] in done.stderr and told["code"])


def probes(scene):
    folder = scene.gateway.folder
    (folder / "disk2.raw").write_bytes(bytes(2 << 20))
    os.link(folder / "disk2.raw", folder / "again.raw")
    config = folder / "probed.toml"

    def probe(*stores: str):
        body = "".join(f"[store.s{number}]\n{store}\n" for number, store in enumerate(stores))
        scene.gateway.write(body, config)
        done = subprocess.run([scene.gateway.program, "check", "--probe", config], capture_output=True, text=True,
                              timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    def store(path: str, size: str) -> str:
        return f'type = "file"\npath = "{folder}/{path}"\nsize = "{size}"'

    for what, stores, status, words in (
            ("a folder that is not there", (store("absent/x.raw", "1MiB"),), 2, "store.s0.path: "),
            ("a file that another gateway has", (store("disk.raw", "16MiB"),), 2, "store.s0.path: "),
            ("one file twice", (store("disk2.raw", "2MiB"), store("again.raw", "2MiB")), 2,
             "store.s1.path: is the same file"),
            ("a file that is larger", (store("disk2.raw", "1MiB"),), 0, "store.s0.size: the file has 2MiB"),
            ("a file that is too large", (store("new.raw", "1000TiB"),), 0,
             "store.s0.size: may need more than there is"),
            ("a device that is none", ('type = "block"\npath = "/dev/null"',), 2, "store.s0.path: ")):
        got, text = probe(*stores)
        scene.check(f"check --probe tells {what}", got == status and words in text)
    scene.check("and has made nothing", not (folder / "new.raw").exists())


def main(program: str) -> int:
    checks = Checks()
    with own_gateway(program, checks) as gateway:
        scene = Scene(gateway, checks)
        gateway.start()
        play((rates, keys, counts, metrics, documents, probes), scene, checks)
        checks.check("the gateway ends well", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
