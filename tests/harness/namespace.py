"""Namespaces of a test's own: addresses that are not loopback's, hosts that are somewhere else, and mounts."""

import os
import re
import subprocess
import sys
import time

from gateway import Checks
from targets import spawn

INSIDE = "--in-namespace"
LIMIT_S = 120
LINK_S = 10


def inside() -> bool:
    """Whether this program runs in the namespace that again_in_namespace() made."""
    return INSIDE in sys.argv


def again_in_namespace(checks: Checks, what: str, set_up: str, *arguments) -> None:
    """Runs this program once more, in a network namespace that the shell commands `set_up` furnish, and adds what it
    counted to `checks`; skips with the reason where no namespace can be made."""
    _again(checks, what, ["unshare", "-n"], f"ip link set lo up && {set_up}", *arguments)


def again_with_own_mounts(checks: Checks, what: str, *arguments) -> None:
    """Likewise in a mount namespace: what is mounted there ends with it."""
    _again(checks, what, ["unshare", "-m"], "true", *arguments)


def _again(checks: Checks, what: str, unshare: list[str], set_up: str, *arguments) -> None:
    script = f'{set_up} && exec "$0" "$@"'
    command = [*unshare, "sh", "-c", script, sys.executable, sys.argv[0], *map(str, arguments), INSIDE]
    try:
        done = subprocess.run(command, timeout=LIMIT_S, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        checks.skip(what, str(missing))
        return
    counts = list(re.finditer(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", done.stdout, re.M))
    if counts:
        print(done.stdout[:counts[-1].start()], end="")
        passed, failed, skipped = map(int, counts[-1].groups())
        checks.passed, checks.failed = checks.passed + passed, checks.failed + failed
        checks.skipped += skipped
    elif os.geteuid() == 0 and "Operation not permitted" not in done.stderr:
        print(done.stdout, end="")
        checks.check(f"{what}: {done.stderr.strip()}", False)
    else:
        checks.skip(what, f"no namespace: {done.stderr.strip()}")


class OtherHost:
    """A namespace beside this one, at the far end of a cable (a veth pair) whose near end stays here. Addresses have a
    prefix length, as in "192.0.2.9/24"."""

    def __init__(self, near: list[str], far: list[str]):
        self.near, self.far = near, far
        self.keeper = None

    def __enter__(self):
        self.keeper = spawn(["unshare", "-n", "sleep", "600"])
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + LINK_S
        while os.readlink(f"/proc/{self.keeper.pid}/ns/net") == ours:
            if time.monotonic() > deadline:
                raise TimeoutError("no other network namespace")
            time.sleep(0.01)
        subprocess.run(["sh", "-ec", f"ip link add near type veth peer name far netns {self.keeper.pid}\n"
                        + "".join(f"ip addr add {one} dev near\n" for one in self.near) + "ip link set near up"],
                       timeout=LINK_S, check=True)
        self.run("sh", "-ec", "ip link set lo up\n" + "".join(f"ip addr add {one} dev far\n" for one in self.far)
                 + "ip link set far up").check_returncode()
        return self

    def __exit__(self, *_):
        self.keeper.kill()
        self.keeper.wait()

    @property
    def prefix(self) -> list[str]:
        """What makes a command run there."""
        return ["nsenter", "-t", str(self.keeper.pid), "-n"]

    def run(self, *command, timeout_s: float = 60) -> subprocess.CompletedProcess:
        return subprocess.run([*self.prefix, *map(str, command)], capture_output=True, text=True, timeout=timeout_s,
                              check=False)
