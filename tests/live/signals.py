#!/usr/bin/env python3
"""Storms of signals at a start, at work, during an apply and at the end, and a standard error that nobody reads: none
of them ends the gateway before its time, stops its I/O or loses what was acknowledged. usage: signals.py PROGRAM"""
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from changes import body, ram, session_of, until_told  # noqa: E402
from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import ConnectionLost, Initiator, read_16, write_16  # noqa: E402
from live import NAME  # noqa: E402
from targets import START_S, STOP_S, spawn, wait_for_line  # noqa: E402

MEDIUM_CHANGED = signal.SIGUSR1
DATA = bytes(range(256)) * 16


@contextlib.contextmanager
def storm(process, *signals):
    """Signals in pairs, a millisecond apart, from another thread."""
    over = threading.Event()

    def blow():
        while not over.is_set() and process.poll() is None:
            for each in signals:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(each)
                    process.send_signal(each)
            time.sleep(0.001)

    wind = threading.Thread(target=blow)
    wind.start()
    try:
        yield
    finally:
        over.set()
        wind.join()


class Scene:
    def __init__(self, gateway, checks):
        self.gateway, self.check = gateway, checks.check
        self.disk = gateway.folder / "disk.raw"
        self.disk.write_bytes(bytes(16 << 20))
        self.stores = {
            "disk": f'type = "file"\npath = "{self.disk}"\nsize = "16MiB"',
            "hot": 'type = "cache"\nover = "disk"\nram = "4MiB"\nmode = "write-back"\nvolatile_dirty = "16MiB"',
            "a": ram(),
        }

    def body(self):
        return body(self.stores, {}, {0: "hot", 1: "a"})


def at_the_start(scene):
    """From the moment that its state directory is there: before that it has not blocked them."""
    gateway = scene.gateway
    gateway.write(scene.body())
    state = gateway.folder / "state" / "LOCK"

    def strike():
        deadline = time.monotonic() + START_S
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        with storm(gateway.process, signal.SIGHUP, MEDIUM_CHANGED):
            ready.wait(START_S)

    ready = threading.Event()
    with (gateway.folder / "log").open("ab") as log:
        gateway.process = spawn([gateway.program, "serve", "--config", gateway.config], stdout=subprocess.PIPE,
                                stderr=log)
        striker = threading.Thread(target=strike)
        striker.start()
        try:
            wait_for_line(gateway.process, "sluice: ready", START_S)
        finally:
            ready.set()
            striker.join()
    status = gateway.ask("status")
    gateway.portal = status["targets"][0]["ports"][0]["portals"][0]
    scene.check("a storm at the start: it serves", len(status["units"]) == 2)


def at_work(scene):
    gateway = scene.gateway
    with session_of(gateway) as host, storm(gateway.process, signal.SIGHUP, MEDIUM_CHANGED):
        until_told(host)
        held = True
        for lba in range(0, 2000, 8):
            host.execute(write_16(lba, 8, False), DATA).must_be_good("WRITE")
            held = held and host.execute(read_16(lba, 8), data_in_length=4096).data == DATA
    scene.check("a storm at work: data move", held)
    scene.check("and it is there", gateway.process.poll() is None and len(gateway.ask("status")["units"]) == 2)


def during_an_apply(scene):
    gateway = scene.gateway
    with storm(gateway.process, signal.SIGHUP, MEDIUM_CHANGED):
        for size in ("32MiB", "64MiB"):
            scene.stores["a"] = ram(size)
            gateway.write(scene.body())
            deadline = time.monotonic() + 30
            # SIGHUP applies the same file, and may come first: then this one finds nothing to do, or somebody at work.
            while (done := gateway.run("apply", str(gateway.config), check=False)).returncode != 0:
                assert "is under way" in done.stderr and time.monotonic() < deadline, done.stderr
    sizes = {unit["name"]: unit["size_bytes"] for unit in gateway.ask("status")["units"]}
    scene.check("a storm during an apply: it is as the file says", sizes["a"] == 64 << 20)


def at_the_end(scene):
    gateway = scene.gateway
    with session_of(gateway) as host:
        until_told(host)
        for lba in range(4096, 4096 + 800, 8):
            host.execute(write_16(lba, 8, False), DATA).must_be_good("WRITE")
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.015)
        gateway.process.send_signal(signal.SIGTERM)
        with storm(gateway.process, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, MEDIUM_CHANGED):
            status = gateway.process.wait(STOP_S)
    scene.check("a storm at the end: status 0", status == 0)
    kept = scene.disk.read_bytes()[4096 * 512:(4096 + 800) * 512]
    scene.check("and what only memory held is on the medium", kept == DATA * 100)


class LateLogin(Initiator):
    """Connects at once, and logs in when the gate opens."""

    def __init__(self, gate, port, number):
        self.gate = gate
        super().__init__(port, NAME, "iqn.2026-11.io.sluice:late", number=number)

    def _log_in(self, *arguments):
        self.gate.wait(STOP_S)
        super()._log_in(*arguments)


def logins_at_the_end(scene):
    """A gateway that empties its memory into a slow medium takes its time to end: whoever logs in meanwhile may try
    again, and is told nothing that keeps him away for good."""
    gateway, check = scene.gateway, scene.check
    scene.stores["slow"] = 'type = "fault"\nover = "disk"\ndelay = "1s"'
    scene.stores["hot"] = scene.stores.pop("hot").replace('"disk"', '"slow"')
    gateway.write(scene.body())
    gateway.start()
    port = int(gateway.portal.rsplit(":", 1)[1])
    gate = threading.Event()
    told = []

    def log_in(number):
        try:
            with LateLogin(gate, port, number):
                told.append("taken")
        except ConnectionLost as lost:
            told.append(str(lost))
        except OSError as closed:
            told.append(f"closed: {closed}")

    def keep_trying(number):
        while gateway.process.poll() is None:
            log_in(number)

    with session_of(gateway) as host:
        until_told(host)
        host.execute(write_16(0, 8, False), DATA).must_be_good("WRITE")
        late = [threading.Thread(target=log_in, args=[number]) for number in range(100, 108)]
        for each in late:
            each.start()
        time.sleep(0.3)  # they are connected
        gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        gate.set()
        tireless = [threading.Thread(target=keep_trying, args=[number]) for number in range(200, 204)]
        for each in tireless:
            each.start()
        check("SIGTERM ends it with status 0", gateway.process.wait(STOP_S) == 0)
    for each in late + tireless:
        each.join()
    refused = [each for each in told if "status 02" in each]
    check(f"of {len(told)} logins at the end none is refused for good: {refused[:3]}", len(told) > 8 and not refused)


def nobody_reads(scene):
    """Standard error is a pipe of one page that nobody takes anything from."""
    gateway, check = scene.gateway, scene.check
    gateway.write(scene.body())
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    gateway.process = spawn([gateway.program, "serve", "--config", gateway.config], stdout=subprocess.PIPE,
                            stderr=writer)
    os.close(writer)
    try:
        wait_for_line(gateway.process, "sluice: ready", START_S)
        status = gateway.ask("status")
        gateway.portal = status["targets"][0]["ports"][0]["portals"][0]
        port = int(gateway.portal.rsplit(":", 1)[1])
        with session_of(gateway) as host:
            until_told(host)
            # Each login, and each end of a session, is a line: far more than a page.
            for number in range(2, 80):
                Initiator(port, NAME, "iqn.2026-11.io.sluice:passer-by", number=number).socket.close()
                time.sleep(0.02)
            held = True
            for lba in range(0, 400, 8):
                host.execute(write_16(lba, 8, True), DATA).must_be_good("WRITE")
                held = held and host.execute(read_16(lba, 8), data_in_length=4096).data == DATA
        check("nobody reads the log: data move", held)
        check("and status answers", "log_lines_dropped" in gateway.ask("status")["gateway"])
        gateway.process.send_signal(signal.SIGTERM)
        check("and SIGTERM ends it with status 0", gateway.process.wait(STOP_S) == 0)
        lines = os.read(reader, 8192)
        # A pipe of one page takes one write until it is read.
        check(f"what fitted is there, whole lines: {len(lines)} octets", b" info " in lines and lines.endswith(b"\n"))
    finally:
        os.close(reader)


def nobody_reads_a_refusal(scene):
    """A start that is refused ends, though standard error is full."""
    gateway = scene.gateway
    taken = socket.create_server(("127.0.0.1", 0))
    gateway.write(scene.body().replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"))
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"." * 4096)
        os.set_blocking(writer, True)
        process = spawn([gateway.program, "serve", "--config", gateway.config], stdout=subprocess.DEVNULL,
                        stderr=writer)
        try:
            scene.check("a refused start ends, though nobody reads why", process.wait(STOP_S) == 1)
        finally:
            process.kill()
            process.wait()
    finally:
        taken.close()
        os.close(writer)
        os.close(reader)


def refused_reload(scene):
    """SIGHUP with a file that cannot be applied leaves all as it is, and the log says why."""
    gateway = scene.gateway
    gateway.write(scene.body())
    gateway.start()
    good = gateway.config.read_text()

    def told(what):
        deadline = time.monotonic() + STOP_S
        while what not in gateway.log() and time.monotonic() < deadline:
            time.sleep(0.02)
        return what in gateway.log()

    gateway.config.write_text(good.replace(str(scene.disk), str(gateway.folder / "nowhere" / "disk.raw")))
    gateway.process.send_signal(signal.SIGHUP)
    scene.check("SIGHUP: a store that cannot be opened is told with its name", told('apply refused file=')
                and told("store.disk") and told("nowhere"))
    gateway.config.write_text(good)
    scene.check("all is as it was", len(gateway.ask("status")["units"]) == 2)
    scene.check("and SIGTERM ends it", gateway.stop() == 0)


def main():
    program = os.path.abspath(sys.argv[1])
    checks = Checks()
    for acts in ((at_the_start, at_work, during_an_apply, at_the_end), (logins_at_the_end,),
                 (nobody_reads,), (nobody_reads_a_refusal, refused_reload)):
        with own_gateway(program, checks) as gateway:
            play(acts, Scene(gateway, checks), checks)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
