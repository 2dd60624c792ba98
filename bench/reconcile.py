#!/usr/bin/env python3
"""What a change costs in a large gateway, and how soon one is ready: one LUN more among N units, a start with N units,
the memory that they take. usage: reconcile.py PROGRAM [--units N] [--baseline PROGRAM] [--store ram|file]"""
import argparse
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5


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
        text += 'name = "iqn.2026-11.io.sluice:bench"\nlisten = ["127.0.0.1:0"]\n'
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
        gateway.write(units)
        figures = {"first start": gateway.start()}
        more = []
        for extra in range(1, ROUNDS + 1):
            gateway.write(units + extra)
            more.append(gateway.run(["apply", str(gateway.file)]))
        figures["one LUN more"] = statistics.median(more)
        figures["nothing to change"] = gateway.run(["apply", str(gateway.file)])
        figures["status"] = gateway.run(["status", "--json"])
        figures["resident MiB"] = gateway.resident_mib()
        figures["stop"] = gateway.stop()
        figures["second start"] = gateway.start()
        gateway.stop()
        return figures


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("program")
    parse.add_argument("--baseline", help="a program to compare with")
    parse.add_argument("--units", type=int, default=4000)
    parse.add_argument("--store", choices=["ram", "file"], default="file")
    asked = parse.parse_args()
    now = measure(asked.program, asked.units, asked.store)
    then = measure(asked.baseline, asked.units, asked.store) if asked.baseline else {}
    print(f"{asked.units} units over stores of type {asked.store}; seconds, but for memory")
    for name, value in now.items():
        before = f"  baseline {then[name]:8.3f}  {then[name] / value:5.1f} times" if then else ""
        print(f"{name:20s} {value:8.3f}{before}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
