#!/usr/bin/env python3
"""A vhost port by its socket: verified load by a guest's driver, over gateways that are killed; the socket's rules;
what an operator sees. usage: vhost.py PROGRAM LOAD_PROGRAM"""

import contextlib
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway, play  # noqa: E402

NAME = "5000c50012345678"
LOAD_S = 90
GET_FEATURES, SET_MEM_TABLE = 1, 5


def body(path, more="", luns='0 = "a"', size="16MiB"):
    return (f'[store.a]\ntype = "ram"\nsize = "{size}"\n[store.b]\ntype = "file"\npath = "b.raw"\nsize = "64MiB"\n'
            f'[unit.a]\nstore = "a"\n[unit.b]\nstore = "b"\n[target.main]\nluns = {{ {luns} }}\n'
            f'[[target.main.port]]\nfabric = "vhost"\nname = "{NAME}"\nsocket = "{path}"\n{more}')


class Scene:
    def __init__(self, gateway, checks, load):
        self.gateway, self.checks, self.load = gateway, checks, load
        self.path = gateway.folder / "vm.sock"

    def begin_load(self, *words):
        command = [self.load, "--socket", self.path, "--region", "8MiB", *map(str, words)]
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)

    def report(self, process):
        out, _ = process.communicate(timeout=LOAD_S)
        return json.loads(out) if out else {"errors": -1, "mismatches": -1, "reads": 0, "writes": 0}

    def restart(self):
        self.gateway.process.kill()
        self.gateway.process.wait()
        self.gateway.start()


def socket_and_views(s):
    mode = os.stat(s.path)
    s.checks.check("the socket is its owner's alone", stat.S_ISSOCK(mode.st_mode) and mode.st_mode & 0o777 == 0o600)
    load = s.begin_load("--seconds", 1, "--verify", "--write-percent", 50, "--queues", 2)
    deadline = time.monotonic() + 10
    while not s.gateway.sessions() and time.monotonic() < deadline:
        time.sleep(0.05)
    session = s.gateway.sessions()[0]
    s.checks.check("status shows the front end by the port's name",
                   session["initiator"] == NAME and session["port"] == NAME
                   and f"process {load.pid}" in session["peer"])
    port = s.gateway.ask("status")["targets"][0]["ports"][0]
    s.checks.check("and where the port listens", port["portals"] == [str(s.path)])
    report = s.report(load)
    s.checks.check("verified load by two queues", load.returncode == 0 and report["reads"] > 0 and report["writes"] > 0)


def killed_under_load(s):
    """What was in flight is done again by the next gateway, and nothing is lost or torn."""
    for lun, kind in ((0, "RAM that forgets: reads of what nobody wrote since"), (1, "a file")):
        words = ["--lun", lun, "--seconds", 8, "--depth", 16, "--queues", 2, "--reconnect"]
        load = s.begin_load(*words, *(["--verify", "--write-percent", 50] if lun else []))
        for _ in range(3):
            time.sleep(1.5)
            s.restart()
        report = s.report(load)
        s.checks.check(f"three kills under load, on {kind}: {report['reconnections']} reconnections, "
                       f"{report['errors']} errors, {report['mismatches']} mismatches {report.get('first_error', '')}",
                       load.returncode == 0 and report["reconnections"] >= 3 and report["reads"] > 0)
    s.checks.check("the log tells of what a predecessor left", "requests of a predecessor" in s.gateway.log())


def luns_and_sizes_change(s):
    load = s.begin_load("--seconds", 4, "--verify", "--write-percent", 50)
    time.sleep(0.5)
    s.gateway.apply(body(s.path, luns='0 = "a", 1 = "b", 2 = "c"', size="32MiB")
                    + '[store.c]\ntype = "ram"\nsize = "1MiB"\n')
    s.gateway.apply(body(s.path, luns='0 = "a", 1 = "b"', size="32MiB"))
    report = s.report(load)
    s.checks.check("a disk grows and another comes and goes under load", load.returncode == 0 and report["errors"] == 0)


def header(request, payload=b"", flags=1):
    return struct.pack("<III", request, flags, len(payload)) + payload


def rough_front_ends(s):
    """Whatever a process says that may use the socket, the gateway goes on."""
    for words in (b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", header(GET_FEATURES, flags=3), header(99, bytes(4096), 9),
                  struct.pack("<III", SET_MEM_TABLE, 1, 1 << 30), header(SET_MEM_TABLE, bytes(8 + 32 * 3)),
                  header(GET_FEATURES) * 1000):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(5)
            one.connect(str(s.path))
            with contextlib.suppress(ConnectionError):  # ended before it has said all
                one.sendall(words)
                one.shutdown(socket.SHUT_WR)
                while one.recv(65536):
                    pass
    load = s.begin_load("--seconds", 0.5, "--verify", "--write-percent", 50)
    s.report(load)
    s.checks.check("rough front ends are ended, and the next one is served", load.returncode == 0)


def other_rules(s):
    """One front end at a time; a gateway that connects; a stop that leaves no socket."""
    first, second = (s.begin_load("--seconds", 1) for _ in range(2))
    s.report(first), s.report(second)
    s.checks.check("a second front end waits for the first one's end", first.returncode == second.returncode == 0)
    s.gateway.write(body(s.path, "connect = true\n", size="32MiB"), s.gateway.folder / "other.toml")
    done = s.gateway.run("apply", str(s.gateway.folder / "other.toml"), check=False)
    s.checks.check("a port that is open keeps its rules", done.returncode != 0 and "while the port is open" in
                   done.stdout + done.stderr)
    s.checks.check("SIGTERM ends it with status 0, and the socket is gone",
                   s.gateway.stop() == 0 and not s.path.exists())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(s.path))
        listener.listen(1)
        listener.settimeout(20)
        s.gateway.write(body(s.path) + 'connect = true\n')
        s.gateway.start()
        for _ in range(2):  # it comes back
            with listener.accept()[0] as one:
                one.settimeout(20)
                one.sendall(header(GET_FEATURES))
                answer = one.recv(20)
            s.checks.check("a gateway that connects answers the front end that listens", len(answer) == 20)
    s.checks.check("and stops", s.gateway.stop() == 0)


def main() -> int:
    program, load = (Path(word).resolve() for word in sys.argv[1:3])
    checks = Checks()
    with own_gateway(program, checks) as gateway:
        scene = Scene(gateway, checks, load)
        gateway.write(body(scene.path, luns='0 = "a", 1 = "b"'))
        gateway.start()
        play((socket_and_views, killed_under_load, luns_and_sizes_change, rough_front_ends, other_rules), scene, checks)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
