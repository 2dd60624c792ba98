#!/usr/bin/env python3
"""What a change costs in a large gateway, and how soon one is ready: one LUN more among N units, a start with N units,
the memory of a unit and of an idle session. Programs take turns; of each figure the best counts.
usage: reconcile.py PROGRAM [--baseline PROGRAM] [--units N] [--sessions N] [--store ram|file] [--rounds N]"""
import argparse
import json
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "harness"))

from initiator import Initiator  # noqa: E402

ROUNDS = 5
NAME = "iqn.2026-11.io.sluice:bench"


class Gateway:
    """A program of its own, in a folder of its own."""

    def __init__(self, program, folder, store):
        self.program, self.folder, self.store = program, pathlib.Path(folder), store
        self.file = self.folder / "sluice.toml"
        self.socket = self.folder / "control.sock"
        self.process = None

    def write(self, units):
        text = f'[gateway]\nstate_dir = "{self.folder}/state"\ncontrol = "{self.socket}"\nreactors = 2\n'
        for number in range(units):
            path = f'path = "{self.folder}/{number}.raw"\n' if self.store == "file" else ""
            text += f'[store.s{number}]\ntype = "{self.store}"\nsize = "1MiB"\n{path}'
        luns = ", ".join(f'{number} = "s{number}"' for number in range(units))
        text += f'[target.main]\nluns = {{ {luns} }}\n[[target.main.port]]\nfabric = "iscsi"\n'
        text += f'name = "{NAME}"\nlisten = ["127.0.0.1:0"]\n'
        self.file.write_text(text)

    def start(self):
        began = time.monotonic()
        self.process = subprocess.Popen(
            [self.program, "serve", "--config", self.file], stdout=subprocess.PIPE,
            stderr=open(self.folder / "log", "ab"), text=True,
        )
        if "ready" not in self.process.stdout.readline():
            raise SystemExit("does not start: " + (self.folder / "log").read_text()[-500:])
        return time.monotonic() - began

    def run(self, command):
        began = time.monotonic()
        done = subprocess.run(
            [self.program, *command, "--control", self.socket], capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise SystemExit(f"{command[0]}: {done.stdout}{done.stderr}")
        return time.monotonic() - began

    def ask(self, command, arguments):
        """Over the control socket: what the gateway takes, without the start of a process."""
        with socket.socket(socket.AF_UNIX) as to, to.makefile("rw") as lines:
            to.settimeout(120)
            to.connect(str(self.socket))
            began = time.monotonic()
            print(json.dumps({"command": command, "arguments": arguments}), file=lines, flush=True)
            answer = json.loads(lines.readline())
            took = time.monotonic() - began
        if not answer["ok"] or (command == "apply" and answer["result"].get("refused")):
            raise SystemExit(f"{command}: {answer}")
        return took

    def port(self):
        done = subprocess.run([self.program, "status", "--json", "--control", self.socket], capture_output=True,
                              text=True, timeout=120, check=True)
        return int(json.loads(done.stdout)["targets"][0]["ports"][0]["portals"][0].rsplit(":", 1)[1])

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self):
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=120)
        return time.monotonic() - began


def measure(program, units, store):
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        gateway = Gateway(program, folder, store)
        gateway.write(1)
        gateway.start()
        empty = gateway.resident_mib()
        gateway.stop()
        gateway.write(units)
        figures = {"first start, s": gateway.start()}
        figures["memory of a unit, KiB"] = (gateway.resident_mib() - empty) * 1024 / (units - 1)
        more = []
        for extra in range(1, ROUNDS + 1):
            gateway.write(units + extra)
            more.append(gateway.ask("apply", {"file": str(gateway.file)}))
        figures["one LUN more, s"] = statistics.median(more)
        figures["nothing to change, s"] = gateway.ask("apply", {"file": str(gateway.file)})
        figures["nothing to change, by the command line, s"] = gateway.run(["apply", str(gateway.file)])
        figures["status, s"] = gateway.ask("status", {})
        figures["stop, s"] = gateway.stop()
        figures["second start, s"] = gateway.start()
        gateway.stop()
        return figures


def measure_sessions(program, sessions, store):
    """Each has logged in and sends nothing more."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        gateway = Gateway(program, folder, store)
        gateway.write(4)
        gateway.start()
        port = gateway.port()
        hosts = [Initiator(port, NAME, f"{NAME}-warm", 0, 1)]
        before = gateway.resident_mib()
        hosts += [Initiator(port, NAME, f"{NAME}-{number}", 0, 1) for number in range(sessions)]
        figure = (gateway.resident_mib() - before) * 1024 / sessions
        for host in hosts:
            host.socket.close()
        gateway.stop()
        return {"memory of an idle session, KiB": figure}


def best_of(figures):
    return {name: min(each[name] for each in figures) for name in figures[0]}


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("program")
    parse.add_argument("--baseline", help="a program to compare with")
    parse.add_argument("--units", type=int, default=4000)
    parse.add_argument("--sessions", type=int, default=500)
    parse.add_argument("--store", choices=["ram", "file"], default="file")
    parse.add_argument("--rounds", type=int, default=1)
    asked = parse.parse_args()
    programs = [asked.program] + ([asked.baseline] if asked.baseline else [])
    figures = {program: [] for program in programs}
    for _ in range(asked.rounds):
        for program in programs:
            figures[program].append(measure(program, asked.units, asked.store)
                                    | measure_sessions(program, asked.sessions, asked.store))
    now = best_of(figures[asked.program])
    then = best_of(figures[asked.baseline]) if asked.baseline else {}
    print(f"{asked.units} units over stores of type {asked.store}, {asked.sessions} sessions")
    for name, value in now.items():
        before = f"  baseline {then[name]:8.3f}  {then[name] / max(value, 1e-9):5.1f} times" if then else ""
        print(f"{name:44s} {value:8.3f}{before}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
