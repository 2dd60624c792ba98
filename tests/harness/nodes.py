"""Gateways of one Ceph cluster as real processes, and a host with a path to each of them."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import initiator
from ceph import Cluster
from initiator import Answer, ConnectionLost, Initiator
from network import Box
from targets import TargetError, free_port, spawn, wait_for_line

NAMES = ["alpha", "beta", "gamma"]
TARGET = "iqn.2026-11.io.sluice:shared"
PREFIX = "iqn.2026-11.org.example:"
IMAGE = "shared"
BLOCK = 512
STANDBY, TRANSITION, ATTENTION = "02/04/0b", "02/04/0a", "06/"
initiator.ANSWER_S = 2  # a host's patience with a path


def stamp(number: int) -> bytes:
    return struct.pack(">Q", number) * (BLOCK // 8)


class Node:
    """One gateway of the cluster; restarting keeps its folder and its port."""

    def __init__(self, program: Path, folder: Path, number: int, cluster: Cluster, advertise: str = "",
                 hosts_move: bool = False, caches: bool = False, boxes: dict[str, Box] | None = None,
                 change=lambda text: text):
        """`advertise`: the address by which its portal is reached from elsewhere. `caches`: over the image, the first
        gateway has one with flash, the second one of RAM only, the third none. `boxes`: where the gateways run, by
        name; here without. `change`: what is made of its configuration."""
        self.program, self.name, self.folder = program, NAMES[number], folder / NAMES[number]
        box = boxes[self.name] if boxes else None
        self.address, self.within = (box.address, box.prefix) if box else ("127.0.0.1", [])
        self.folder.mkdir()
        self.port, self.process = free_port(), None
        self.link = free_port()
        self.config, self.control = self.folder / "sluice.toml", self.folder / "control.sock"
        self.config.write_text(change(f"""
[gateway]
name = "{self.name}"
state_dir = "{self.folder}/state"
control = "{self.control}"
reactors = 1

[cluster]
name = "test"
pool = "rbd"
user = "sluice"
conf = "{cluster.conf}"
listen = "{self.address}:{self.link}"
hosts_move = {str(hosts_move).lower()}

[store.disk]
type = "rbd"
pool = "rbd"
image = "{IMAGE}"
user = "sluice"
conf = "{cluster.conf}"

{self.cache(number) if caches else ""}

[unit.disk]
store = "{'hot' if caches and number < 2 else 'disk'}"
thin = true

[target.main]
luns = {{ 0 = "disk" }}

[[target.main.port]]
fabric = "iscsi"
name = "{TARGET}"
listen = ["{self.address}:{self.port}"]
group = {number + 1}
cold_reset = true
{f'advertise = ["{advertise}:{self.port}"]' if advertise else ""}
{"".join(f'[target.main.access."{PREFIX}{name}"]' + chr(10) for name in ("one", "other", "third")) if box else ""}
"""))

    def cache(self, number: int) -> str:
        if number == 2:
            return ""
        flash = f"""flash = {{ path = "{self.folder}/flash", size = "64MiB" }}""" if number == 0 else ""
        return f"""
[store.hot]
type = "cache"
over = "disk"
ram = "16MiB"
{flash}
"""

    def url(self) -> str:
        """The unit's address as libiscsi writes it."""
        return f"iscsi://{self.address}:{self.port}/{TARGET}/0"

    def start(self) -> float:
        began = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = spawn([*self.within, self.program, "serve", "--config", self.config],
                                 stdout=subprocess.PIPE, stderr=log)
        wait_for_line(self.process, "sluice: ready", 40)
        return time.monotonic() - began

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def suspend(self) -> None:
        """SIGSTOP, and wait until it holds: other threads run on until one of them has come to take the signal."""
        self.send(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            states = [(each / "stat").read_text().rpartition(")")[2].split()[0] for each in tasks.iterdir()]
            if set(states) == {"T"}:
                return
            time.sleep(0.001)
        raise TimeoutError(f"{self.name} goes on after SIGSTOP")

    def end(self, number: int = signal.SIGTERM) -> None:
        self.send(number)
        self.process.wait(60)
        self.process.stdout.close()
        self.process = None

    def ask(self, *words: str, limit_s: float = 60) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, *words, "--control", self.control], capture_output=True, text=True,
                              timeout=limit_s, check=False)

    def last_lines(self, count: int) -> str:
        """Of its log."""
        return "\n".join((self.folder / "log").read_text().splitlines()[-count:])

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def owner(self) -> str:
        return json.loads(self.ask("status", "--json").stdout)["units"][0].get("owner", "")


@contextlib.contextmanager
def gateways(program: Path, cluster: Cluster, count: int, **keys):
    """That many, made with these keys and started; killed with the block. One that does not start ends it, with the end
    of its log."""
    with tempfile.TemporaryDirectory(prefix="sluice-gateways-") as folder:
        nodes = [Node(program.resolve(), Path(folder), number, cluster, **keys) for number in range(count)]
        try:
            for node in nodes:
                try:
                    node.start()
                except TargetError as refused:
                    raise TargetError(f"{node.name}: {refused}\n{node.last_lines(15)}") from None
            yield nodes
        finally:
            for node in nodes:
                if node.is_alive():
                    node.send(signal.SIGCONT)
                    node.end(signal.SIGKILL)


class Host:
    """An initiator with a session to each gateway, that goes on through whichever takes its command."""

    def __init__(self, nodes: list[Node], name: str):
        self.nodes, self.name = nodes, PREFIX + name
        self.sessions: dict[str, Initiator] = {}

    def close(self) -> None:
        for session in self.sessions.values():
            session.socket.close()
        self.sessions.clear()

    def session(self, node: Node) -> Initiator:
        if node.name not in self.sessions:
            self.sessions[node.name] = Initiator(node.port, TARGET, self.name, host=node.address)
        return self.sessions[node.name]

    def drop(self, node: Node) -> None:
        """A session that broke."""
        if broken := self.sessions.pop(node.name, None):
            broken.socket.close()

    def through(self, node: Node, cdb: bytes, data: bytes = b"", length: int = 0) -> Answer:
        """One path, unit attentions heard."""
        while True:
            answer = self.session(node).execute(cdb, data, length)
            if not str(answer).startswith(ATTENTION):
                return answer

    def somewhere(self, cdb: bytes, data: bytes = b"", length: int = 0, limit_s: float = 60) -> tuple[Answer, float]:
        """Any path that gives a status which is neither that of a path nor BUSY; and how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            for node in self.nodes:
                if node.process is None:
                    continue
                try:
                    answer = self.through(node, cdb, data, length)
                except (ConnectionLost, OSError):
                    self.drop(node)
                    continue
                if str(answer) not in (STANDBY, TRANSITION, "BUSY"):
                    return answer, time.monotonic() - began
            time.sleep(0.005)
        raise TimeoutError(f"no path within {limit_s} s")
