"""Network namespaces on one switch, between which ways can be cut, in one direction or in both."""

import contextlib
import os
import subprocess
import sys
import time

from targets import spawn

LINK_S = 10
BRIDGE, HERE = "switch0", "10.77.0.1"  # this namespace's own address
NOWHERE = "02:00:00:00:00:fe"  # nobody has it


def enter(what: str) -> str:
    """Runs this program anew in a network namespace of its own, and returns there; or the reason why there is none.
    `what` marks the second run in the environment."""
    if os.environ.get(what):
        return ""
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, timeout=LINK_S, check=False)
    if tried.returncode != 0:
        return tried.stderr.strip() or "unshare fails"
    os.environ[what] = "1"
    os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


def ip(*words: str, within: tuple[str, ...] = ()) -> None:
    subprocess.run([*within, "ip", *words], check=True, timeout=LINK_S)


class Place:
    """An address on the switch: this namespace's own."""

    address, device = HERE, BRIDGE

    def ip(self, *words: str) -> None:
        ip(*words)

    def cut(self, other: str) -> None:
        """What it sends to that address is lost from now on."""
        self.ip("neigh", "replace", other, "lladdr", NOWHERE, "nud", "permanent", "dev", self.device)

    def mend(self, other: str) -> None:
        self.ip("neigh", "del", other, "dev", self.device)


class Box(Place):
    """Another namespace with one."""

    device = "eth0"

    def __init__(self, number: int):
        self.address = f"10.77.0.{number}"
        self.keeper = spawn(["unshare", "-n", "sleep", "infinity"])
        ours = os.readlink("/proc/self/ns/net")
        until = time.monotonic() + LINK_S
        while os.readlink(f"/proc/{self.keeper.pid}/ns/net") == ours:
            if time.monotonic() > until:
                raise TimeoutError("no other network namespace")
            time.sleep(0.01)
        near = f"port{number}"
        ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", str(self.keeper.pid))
        ip("link", "set", near, "master", BRIDGE, "up")
        self.ip("link", "set", "lo", "up")
        self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")

    @property
    def prefix(self) -> tuple[str, ...]:
        """What makes a command run there."""
        return ("nsenter", "-t", str(self.keeper.pid), "-n")

    def ip(self, *words: str) -> None:
        ip(*words, within=self.prefix)

    def end(self) -> None:
        self.keeper.kill()
        self.keeper.wait()


@contextlib.contextmanager
def boxes(names: list[str]):
    """One for each name; this namespace is on the switch, too."""
    ip("link", "set", "lo", "up")
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("addr", "add", f"{HERE}/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    made: dict[str, Box] = {}
    try:
        for number, name in enumerate(names, start=10):
            made[name] = Box(number)
        yield made
    finally:
        for each in made.values():
            each.end()
