"""iSCSI targets for tests and measurements: sluice, Debian's tgt, and the null target.

Each is a context manager: started on a free loopback port with its files in a temporary folder, ended by its pid, and
ended with this process should that die first.
"""

import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_S = 30
STOP_S = 30
INITIATOR = "iqn.2026-11.io.sluice:tester"
PR_SET_PDEATHSIG = 1


class TargetError(Exception):
    """A target that does not start, or ends otherwise than it should."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spawn(command: list, core: int | None = None, **options) -> subprocess.Popen:
    """Starts a program that ends with this one; on one core if asked."""
    libc = ctypes.CDLL(None)

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})

    return subprocess.Popen([str(word) for word in command], preexec_fn=in_child, **options)


def wait_for_line(process: subprocess.Popen, beginning: str, timeout_s: float) -> str:
    """The line of the program's standard output that begins so."""
    deadline = time.monotonic() + timeout_s
    seen = ""
    while time.monotonic() < deadline:
        readable, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 4096).decode() if readable else ""
        if readable and not chunk:
            raise TargetError(f"ended with status {process.wait(STOP_S)} before it was ready:\n{seen}")
        seen += chunk
        for line in seen.splitlines():
            if line.startswith(beginning) and seen.endswith("\n"):
                return line
    raise TargetError(f"not ready after {timeout_s} s:\n{seen}")


@dataclass
class Chap:
    user: str = "tester"
    secret: str = "a-secret-of-16-octets"


class Target:
    """What the three have in common. `core`: where it runs; `lun`: the first unit's address."""

    name = ""
    iqn = ""
    lun = 0

    def __init__(self, core: int | None = None):
        self.core = core
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def kept(self):
        """For a test that starts and ends the target itself: only cleans up."""
        try:
            yield self
        finally:
            self.__exit__(None, None, None)

    @property
    def pid(self) -> int:
        return self.process.pid

    def url(self, lun: int | None = None, chap: Chap | None = None) -> str:
        """The unit's address as libiscsi and QEMU write it."""
        login = f"{chap.user}%{chap.secret}@" if chap else ""
        return f"iscsi://{login}127.0.0.1:{self.port}/{self.iqn}/{self.lun if lun is None else lun}"

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> int | None:
        """Asks it to end; its exit status. Kills it when it takes too long."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TargetError(f"{self.name} did not end within {STOP_S} s of SIGTERM") from None

    def kill(self) -> None:
        """As a crash would end it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None


@dataclass
class Unit:
    """A store and the unit over it; a file store lies in the target's folder, as unitN.raw."""

    type: str = "ram"
    size: str = "1GiB"
    keys: dict = field(default_factory=dict)  # of [unit.X], e.g. {"thin": True}
    store: dict = field(default_factory=dict)  # more of [store.X]; an rbd store has the size of its image
    cache: dict = field(default_factory=dict)  # with any key, of a cache store between the two, e.g. {"ram": "64MiB"}


def toml(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else f'"{value}"'


class Sluice(Target):
    """The gateway. Restarting (kill, start) keeps its files and its port."""

    name = "sluice"
    iqn = "iqn.2026-11.io.sluice:test"
    start_s = START_S

    def __init__(self, program: Path, units: list[Unit] | None = None, core: int | None = None,
                 chap: Chap | None = None, initiators: list[str] | None = None, port: dict | None = None):
        super().__init__(core)
        self.program = program
        self.port_keys = port or {}  # more of the port
        self.config = self.folder / "sluice.toml"
        self.log = self.folder / "log"
        self.write_configuration(units or [Unit()], chap, initiators or [INITIATOR])

    def write_configuration(self, units: list[Unit], chap: Chap | None, initiators: list[str]) -> None:
        reactors = f"[{self.core}]" if self.core is not None else "1"
        text = (f'[gateway]\nname = "test"\nstate_dir = "{self.folder}/state"\nreactors = {reactors}\n'
                f'control = "{self.folder}/control.sock"\n')
        for number, unit in enumerate(units):
            path = f'path = "unit{number}.raw"\n' if unit.type == "file" else ""
            size = "" if unit.type == "rbd" else f'size = "{unit.size}"\n'
            text += f'\n[store.s{number}]\ntype = "{unit.type}"\n{size}{path}'
            text += "".join(f"{key} = {toml(value)}\n" for key, value in unit.store.items())
            if unit.cache:
                text += f'\n[store.c{number}]\ntype = "cache"\nover = "s{number}"\n'
                text += "".join(f"{key} = {toml(value)}\n" for key, value in unit.cache.items())
            text += f'\n[unit.u{number}]\nstore = "{"c" if unit.cache else "s"}{number}"\n'
            text += "".join(f"{key} = {toml(value)}\n" for key, value in unit.keys.items())
        luns = ", ".join(f'{number} = "u{number}"' for number in range(len(units)))
        text += f"\n[target.main]\nluns = {{ {luns} }}\n"
        text += f'\n[[target.main.port]]\nfabric = "iscsi"\nname = "{self.iqn}"\nlisten = ["127.0.0.1:{self.port}"]\n'
        text += "".join(f"{key} = {toml(value)}\n" for key, value in self.port_keys.items())
        if chap:
            secret = self.folder / "secret"
            secret.touch(mode=0o600)
            secret.write_text(chap.secret + "\n")
            for initiator in initiators:
                text += (f'\n[target.main.access."{initiator}"]\n'
                         f'chap = {{ user = "{chap.user}", secret_file = "secret" }}\n')
        self.config.write_text(text)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = spawn([self.program, "serve", "--config", self.config], self.core, stdout=subprocess.PIPE,
                                 stderr=log)
        try:
            wait_for_line(self.process, "sluice: ready", self.start_s)
        except TargetError as error:
            raise TargetError(f"sluice: {error}\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


class Ceiling(Target):
    """The null target, sluice-ceiling."""

    name = "ceiling"
    iqn = "iqn.2026-11.io.sluice:ceiling"

    def __init__(self, program: Path, core: int | None = None, spin_us: int = 0):
        super().__init__(core)
        self.command = [program, "--port", self.port, "--spin-us", spin_us]

    def start(self) -> None:
        self.process = spawn(self.command, self.core, stdout=subprocess.PIPE)
        wait_for_line(self.process, "sluice-ceiling: ready", START_S)


class Tgt(Target):
    """Debian's tgt, its rdwr backing store on a tmpfs."""

    name = "tgt"
    iqn = "iqn.2026-11.io.sluice:tgt"
    lun = 1  # LUN 0 is tgt's controller

    def __init__(self, size: int = 1 << 30, core: int | None = None, chap: Chap | None = None, thin: bool = False):
        super().__init__(core)
        self.chap = chap
        self.thin = thin
        self.backing = Path(tempfile.mkstemp(prefix="sluice-tgt-", dir="/dev/shm")[1])
        os.truncate(self.backing, size)
        self.environment = dict(os.environ, TGT_IPC_SOCKET=str(self.folder / "socket"))

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("tgtd") is not None and shutil.which("tgtadm") is not None

    def start(self) -> None:
        self.process = spawn(["tgtd", "-f", "--iscsi", f"portal=127.0.0.1:{self.port}"], self.core,
                             env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while self._administer("target", "show").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise TargetError("tgtd does not start")
            time.sleep(0.05)
        self._must("target", "new", "--tid", "1", "--targetname", self.iqn)
        self.make_unit()
        if self.thin:
            self._must("logicalunit", "update", "--tid", "1", "--lun", "1", "--params", "thin_provisioning=1")
        if self.chap:
            self._must("account", "new", "--user", self.chap.user, "--password", self.chap.secret)
            self._must("account", "bind", "--tid", "1", "--user", self.chap.user)
        self._must("target", "bind", "--tid", "1", "--initiator-address", "ALL")

    def make_unit(self) -> None:
        self._must("logicalunit", "new", "--tid", "1", "--lun", "1", "--backing-store", self.backing,
                   "--bstype", "rdwr")

    def _administer(self, mode: str, operation: str, *words) -> subprocess.CompletedProcess:
        command = ["tgtadm", "--lld", "iscsi", "--mode", mode, "--op", operation, *map(str, words)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=START_S,
                              check=False)

    def _must(self, *words) -> None:
        done = self._administer(*words)
        if done.returncode != 0:
            raise TargetError(f"tgtadm {' '.join(map(str, words))}: {done.stderr.strip()}")

    def stop(self) -> int | None:
        if self.process is not None:
            self._administer("sys", "update", "--name", "State", "-v", "offline")
            self._administer("target", "delete", "--force", "--tid", "1")
            self._administer("system", "delete")
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()  # tgtd ignores SIGTERM while it has a target
        self.process = None
        self.backing.unlink(missing_ok=True)
        return None
