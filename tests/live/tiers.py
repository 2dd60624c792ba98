#!/usr/bin/env python3
"""A cache that is put over a store, changed and taken away by `sluice apply` under verified I/O: no error, right data,
one session. usage: tiers.py PROGRAM"""
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway  # noqa: E402
from initiator import Initiator, persistent_reserve_out, registration  # noqa: E402
from live import INITIATOR, NAME, start_load, stop_load  # noqa: E402


def has_direct_io(folder):
    try:
        os.close(os.open(folder / "probe", os.O_CREAT | os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    return True


class Stand:
    def __init__(self, gateway, checks):
        self.gateway, self.checks = gateway, checks
        self.flash = gateway.folder / "flash"
        self.sessions = []

    def body(self, cache=None):
        """The unit vm over the images, or over a cache with these keys."""
        text = f'[store.images]\ntype = "file"\npath = "{self.gateway.folder}/images"\nsize = "64MiB"\n'
        if cache is not None:
            text += f'[store.hot]\ntype = "cache"\nover = "images"\n{cache}\n'
        text += f'[unit.vm]\nstore = "{"images" if cache is None else "hot"}"\n'
        text += '[target.live]\nluns = { 0 = "vm" }\n'
        return text + f'[[target.live.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:0"]\n'

    def figures(self):
        stores = {s["name"]: s for s in self.gateway.ask("status")["stores"]}
        return stores["hot"]["figures"] if "hot" in stores else None

    def figures_when(self, holds):
        """The figures, as soon as they hold; channels go over to other tiers a little after apply has returned."""
        deadline = time.monotonic() + 5
        while not holds(figures := self.figures()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return figures

    def apply(self, cache=None, steps=None):
        """What the plan says, unless `steps` is None, and that nobody was logged out."""
        self.gateway.write(self.body(cache))
        planned = [s["text"] for s in self.gateway.ask("apply", str(self.gateway.config))["steps"]]
        if steps is not None:
            self.checks.check(f"the plan is {steps}", planned == steps)
        time.sleep(0.4)
        self.checks.check("the session stays", self.gateway.session_ids(INITIATOR) == self.sessions)

    def log_in(self, load):
        io = start_load(self.gateway, load)
        deadline = time.monotonic() + 10
        while not self.gateway.session_ids(INITIATOR) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.sessions = self.gateway.session_ids(INITIATOR)
        self.checks.check("the load is logged in", len(self.sessions) == 1)
        return io

    def under_load(self, load):
        check = self.checks.check
        io = self.log_in(load)
        self.apply('ram = "8MiB"')
        check("a cache is put over the store", self.figures()["read_blocks"] > 0)
        self.apply('ram = "8MiB"\nmode = "write-around"', ["~ store hot: mode write-through -> write-around"])
        check("its mode changes", self.figures()["mode"] == "write-around")
        self.apply('ram = "48MiB"\nbypass = "0B"', None)
        grown = self.figures_when(lambda f: f["ram_bytes"] == 48 << 20)
        check("its RAM grows, what it counted stays", grown["ram_bytes"] == 48 << 20 and grown["written_blocks"] > 0)
        time.sleep(0.5)
        check("and is used", self.figures()["ram_hit_blocks"] > grown["ram_hit_blocks"])
        self.steer()
        self.record()
        if has_direct_io(self.gateway.folder):
            self.change_flash()
            self.change_journal()
        self.apply('ram = "4MiB"')
        shrunk = self.figures_when(lambda f: f["ram_bytes"] == 4 << 20)
        check("its RAM shrinks", shrunk["ram_used_bytes"] <= 4 << 20)
        self.apply(None)
        check("it is taken away", self.figures() is None)
        output = stop_load(io)
        check("the load verified all that it wrote", io.returncode == 0)
        if io.returncode != 0:
            print(output)

    def steer(self):
        check, run = self.checks.check, self.gateway.run
        held = self.figures()["ram_used_bytes"]
        run("cache", "drop", "hot")
        check("drop empties it", self.figures_when(lambda f: f["ram_used_bytes"] < held)["ram_used_bytes"] < held)
        flushed = self.gateway.ask("cache", "flush", "hot")
        check("flush has nothing to write", flushed == {"written_bytes": 0})
        no_cache = run("cache", "drop", "images", check=False)
        check("what is no cache is told so", no_cache.returncode == 1 and "no cache" in no_cache.stderr)
        unknown = run("cache", "flush", "nobody", check=False)
        check("a store that is not there is a sentence", unknown.returncode == 1 and "nobody" in unknown.stderr)

    def record(self):
        trace = self.gateway.folder / "trace"
        recorded = self.gateway.ask("cache", "record", "hot", "--output", str(trace), "--requests", "5000")
        self.checks.check("5000 requests are recorded", recorded["requests"] == 5000)
        again = self.gateway.ask("cache", "record", "hot", "--output", str(trace), "--seconds", "1")
        lines = trace.read_text().splitlines()
        self.checks.check("and a second of them", len(lines) == again["requests"] > 0)
        sizes = ["--sizes", "64KiB,64MiB", "--bypass", "0B", "--json"]
        done = subprocess.run(
            [self.gateway.program, "cache", "simulate", str(trace), *sizes], capture_output=True, text=True, timeout=60
        )
        simulated = json.loads(done.stdout)
        small, large = (size["s3_fifo"] for size in simulated["sizes"])
        self.checks.check(
            "and a simulation of them tells sizes apart", simulated["records"] == len(lines) and small < large
        )

    def change_flash(self):
        check = self.checks.check
        flash = f'flash = {{ path = "{self.flash}", size = "64MiB" }}'
        self.apply(f'ram = "8MiB"\n{flash}')
        check("flash comes", self.figures_when(lambda f: f.get("flash_ready"))["flash_ready"])
        time.sleep(0.5)
        self.apply(f'ram = "4MiB"\n{flash}', ["~ store hot: ram 8MiB -> 4MiB"])
        check("flash stays when RAM changes", self.figures()["flash_ready"])
        self.apply(f'ram = "4MiB"\n{flash.replace("64MiB", "128MiB")}')
        check("flash grows", self.figures_when(lambda f: f["flash_ready"])["flash_bytes"] > 64 << 20)
        moved = flash.replace(str(self.flash), str(self.flash) + "2")
        self.apply(f'ram = "4MiB"\n{moved}')
        check("flash moves", self.figures_when(lambda f: f["flash_ready"])["flash_ready"])
        check("the one that went is wiped", self.flash.read_bytes()[:4096] == bytes(4096))
        self.apply(f'ram = "4MiB"\nmode = "write-back"\n{moved.replace("64MiB", "128MiB")}')
        check("a mode that needs a journal gets one", self.journaling(journal_is_volatile=False))
        self.apply(f'ram = "4MiB"\n{moved}')
        check("and lets go of it", "journal_state" not in self.figures_when(lambda f: "journal_state" not in f))
        self.gateway.write(self.body('ram = "4MiB"\nflash = { path = "/nonexistent/flash", size = "64MiB" }'))
        refused = self.gateway.run("apply", str(self.gateway.config), check=False)
        check("what cannot be opened is refused", refused.returncode == 1 and "flash.path" in refused.stderr)
        check("and all is as it was", self.figures()["flash_ready"])


    def journaling(self, **wanted):
        """Whether the cache soon journals, with these figures."""
        wanted |= {"journal_state": "journaling"}
        figures = self.figures_when(lambda f: f.items() >= wanted.items())
        return figures.items() >= wanted.items()

    def change_journal(self):
        """One apply for each change of what a write-back cache holds its data in."""
        check = self.checks.check

        def flash(name, size, dirty, delay="100ms"):
            return (
                f'ram = "8MiB"\nmode = "write-back"\ndestage_delay = "{delay}"\n'
                f'flash = {{ path = "{self.gateway.folder}/{name}", size = "{size}MiB", dirty = "{dirty}MiB" }}'
            )

        def memory(size):
            return f'ram = "8MiB"\nmode = "write-back"\nvolatile_dirty = "{size}MiB"'

        self.apply(flash("flash2", 96, 16))
        check("a journal comes to flash that had none", self.journaling(journal_is_volatile=False))
        before = self.figures()["journal_records"]
        time.sleep(0.3)
        check("and is used", self.figures()["journal_records"] > before)
        self.apply(flash("flash2", 96, 32))
        check("it grows", self.journaling() and self.figures()["journal_bytes"] > 31 << 20)
        self.apply(flash("flash2", 64, 16))
        check("it shrinks, and the flash with it", self.journaling() and self.figures()["journal_bytes"] < 16 << 20)
        before = self.figures()["journal_records"]
        self.apply(flash("flash2", 64, 16, "5s"), ["~ store hot: destage_delay 100ms -> 5s"])
        check("its delay changes in place", self.figures()["journal_records"] >= before)
        self.apply(flash("flash", 80, 16))
        check("it moves", self.journaling())
        left = self.gateway.folder / "flash2"
        seen = subprocess.run(
            [self.gateway.program, "cache", "inspect", left, "--json"], capture_output=True, text=True, timeout=60
        )
        check("and leaves nothing behind", json.loads(seen.stdout)["state"] == "clean")
        self.gateway.write(self.body(flash("nowhere/flash", 80, 16)))
        refused = self.gateway.run("apply", str(self.gateway.config), check=False)
        check("flash that is not there is refused", refused.returncode == 1 and "flash.path" in refused.stderr)
        check("and the journal goes on", self.journaling())
        self.apply(memory(16))
        check("it moves to memory", self.journaling(journal_is_volatile=True))
        self.apply(memory(32))
        check("and grows there", self.journaling() and self.figures()["journal_bytes"] > 31 << 20)
        self.apply(flash("flash", 80, 16))
        check("it comes back to flash", self.journaling(journal_is_volatile=False))
        self.apply('ram = "8MiB"')
        gone = self.figures_when(lambda f: "journal_state" not in f)
        check("and goes away with it", "journal_state" not in gone and "flash_ready" not in gone)


    def reserve(self):
        """What a cluster has reserved, without APTPL, holds on while the unit goes over to other stores."""
        port = int(self.gateway.portal.rsplit(":", 1)[1])
        key = 0xC1057E4
        with (Initiator(port, NAME, "iqn.2026-11.io.sluice:cluster") as host,
              Initiator(port, NAME, "iqn.2026-11.io.sluice:stranger") as other):
            for each in (host, other):
                while each.execute(bytes(6)).status:  # until its unit attentions are told
                    pass
            host.execute(persistent_reserve_out(0), registration(0, key, False)).must_be_good("REGISTER")
            host.execute(persistent_reserve_out(1, 5), registration(key, 0, False)).must_be_good("RESERVE")
            for cache in ('ram = "4MiB"', None):
                self.gateway.write(self.body(cache))
                self.gateway.ask("apply", str(self.gateway.config))
                held = self.gateway.ask("pr", "show", "vm")["registrants"]
                while other.execute(bytes(6)).status == 2:
                    pass
                write = other.execute(bytes.fromhex("2a000000000000000100"), bytes(512))
                self.checks.check(
                    f"a reservation stays when a cache is {'put over' if cache else 'taken away'}",
                    [r["holder"] for r in held] == [True] and write.status == 0x18,
                )


def main():
    program = os.path.abspath(sys.argv[1])
    load = str(pathlib.Path(program).parent / "sluice-load")
    checks = Checks()
    with own_gateway(program, checks) as gateway:
        stand = Stand(gateway, checks)
        gateway.write(stand.body())
        gateway.start()
        stand.under_load(load)
        stand.reserve()
        status = gateway.stop()
        checks.check(f"SIGTERM ends it with status {status}", status == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
