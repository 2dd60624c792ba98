"""A gateway over any configuration, for tests that change it while it runs, and the tests' count of what holds."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from initiator import ConnectionLost
from targets import START_S, STOP_S, TargetError, spawn, wait_for_line

COMMAND_S = 60


class Checks:
    """Says what holds and what does not, and counts."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, what: str, holds) -> None:
        print(("ok: " if holds else "FAILED: ") + what, flush=True)
        self.passed += bool(holds)
        self.failed += not holds

    def skip(self, what: str, reason: str) -> None:
        print(f"skipped: {what}: {reason}", flush=True)
        self.skipped += 1

    def end(self) -> int:
        """Prints the line that counts; the exit status."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def one_unit(name: str, **keys: str) -> str:
    """A configuration of one target, called `name`, at a portal of the system's choice; its LUN 0 is a store with these
    keys."""
    store = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    return (f'[store.a]\n{store}[target.live]\nluns = {{ 0 = "a" }}\n'
            f'[[target.live.port]]\nfabric = "iscsi"\nname = "{name}"\nlisten = ["127.0.0.1:0"]\n')


class Gateway:
    """A sluice of its own, in a folder of its own."""

    def __init__(self, program: Path | str, folder: Path):
        self.program, self.folder = program, folder
        self.config = folder / "sluice.toml"
        self.socket = folder / "control.sock"
        self.portal = None  # the first, as "host:port"
        self.process = None
        self.told: list[str] = []  # to the service manager, by whoever listens
        # What systemd would hear.
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify.sock"))
        self.manager.settimeout(10)

    def write(self, body: str, path: Path | None = None) -> None:
        text = f'[gateway]\nstate_dir = "{self.folder}/state"\ncontrol = "{self.socket}"\nreactors = 2\n' + body
        (path or self.config).write_text(text)

    def start(self, listen: bool = True) -> None:
        """Until it is ready. Its words to the service manager are taken, unless the test wants to hear them itself."""
        with (self.folder / "log").open("ab") as log:
            self.process = spawn(
                [self.program, "serve", "--config", self.config], stdout=subprocess.PIPE, stderr=log,
                env=os.environ | {"NOTIFY_SOCKET": str(self.folder / "notify.sock"), "WATCHDOG_USEC": "400000"})
        try:
            wait_for_line(self.process, "sluice: ready", START_S)
        except TargetError as error:
            raise TargetError(f"sluice: {error}\n{self.log()}") from None
        if listen:
            threading.Thread(target=self.listen, daemon=True).start()
        ports = [port for target in self.ask("status")["targets"] for port in target["ports"]]
        self.portal = ports[0]["portals"][0]

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *arguments, check: bool = True) -> subprocess.CompletedProcess:
        """The gateway's own command line, asked of this one."""
        done = subprocess.run([self.program, *arguments, "--control", str(self.socket)], capture_output=True, text=True,
                              timeout=COMMAND_S, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"sluice {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def ask(self, *arguments):
        return json.loads(self.run(*arguments, "--json").stdout)

    def apply(self, body: str) -> None:
        self.write(body)
        self.run("apply", str(self.config))

    def sessions(self) -> list[dict]:
        """Of all targets, as status tells them."""
        return [session for target in self.ask("status")["targets"] for session in target["sessions"]]

    def session_ids(self, initiator: str) -> list[int]:
        return sorted(each["id"] for each in self.sessions() if each["initiator"].startswith(initiator))

    def heard(self) -> str:
        """The next thing that the service manager is told."""
        return self.manager.recv(4096).decode()

    def listen(self) -> None:
        """As a service manager does, until nothing has come for a while."""
        with contextlib.suppress(OSError):
            while text := self.heard():
                self.told.append(text)

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def clean_up(self) -> None:
        """Ends what still runs; what waits in the kernel for a frozen file system ends later."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        self.manager.close()


@contextlib.contextmanager
def own_gateway(program: Path | str, checks: Checks):
    """A gateway in a temporary folder, not started; ended with the block, and its log shown when that went wrong."""
    failed = checks.failed
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        gateway = Gateway(program, Path(folder))
        good = False
        try:
            yield gateway
            good = checks.failed == failed
        finally:
            gateway.clean_up()
            if not good and (gateway.folder / "log").exists():
                print(gateway.log()[-4000:])


def play(acts, scene, checks: Checks) -> None:
    """One act after the other, whatever becomes of each."""
    for act in acts:
        try:
            act(scene)
        except (AssertionError, ConnectionLost, OSError) as error:
            checks.check(f"{act}: {error!r}", False)
