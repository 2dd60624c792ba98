"""A write-back cache through its operator's hands: what its tests over one medium or another share."""

import json
import subprocess
import time
from pathlib import Path

from initiator import Initiator, read_16, synchronize_cache_16, write_16
from targets import INITIATOR, Sluice, Unit

BLOCK, BLOCKS = 512, 2048  # of what is written: 1 MiB
SIZE = "64MiB"
# Nothing gets below by itself while the test looks.
CACHE = {"ram": "16MiB", "mode": "write-back", "destage_delay": "60s", "flash.path": "flash", "flash.size": "96MiB"}
DIRECT, THROUGH, BACK = {}, CACHE | {"mode": "write-through"}, CACHE
IN_MEMORY = {"ram": "16MiB", "mode": "write-back", "destage_delay": "60s", "volatile_dirty": "16MiB"}


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what: str, holds: bool) -> None:
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {what}")


class Stand:
    """One gateway over one store, s0, with or without the cache, c0."""

    def __init__(self, program: Path, type_of_store: str, store: dict | None = None):
        self.type, self.store = type_of_store, store or {}
        self.gateway = Sluice(program, [self.unit(DIRECT)])
        self.image, self.flash = self.gateway.folder / "unit0.raw", self.gateway.folder / "flash"

    def unit(self, cache: dict) -> Unit:
        return Unit(self.type, SIZE, store=self.store, cache=cache)

    def configure(self, cache: dict) -> None:
        self.gateway.write_configuration([self.unit(cache)], None, [INITIATOR])

    def start(self, cache: dict) -> None:
        self.configure(cache)
        self.gateway.start()

    def serves(self, cache: dict) -> bool:
        """Starts, with the unit or without it."""
        self.start(cache)
        return not any(health.startswith("left out") for health in self.healths())

    def healths(self) -> list[str]:
        """Of all units."""
        told = self.sluice("status", "--json", "--control", str(self.gateway.folder / "control.sock"))
        return [unit["health"] for unit in json.loads(told)["units"]]

    def is_refused(self, cache: dict, sentence: str) -> bool:
        self.configure(cache)
        return self.is_left_out(sentence)

    def is_left_out(self, sentence: str) -> bool:
        """Whether the gateway starts without the unit, and says why; it is ended."""
        self.gateway.start()
        health = self.healths()
        self.gateway.stop()
        return len(health) == 1 and health[0].startswith("left out") and sentence in health[0]

    def apply(self, cache: dict) -> None:
        self.configure(cache)
        self.sluice("apply", str(self.gateway.config), "--control", str(self.gateway.folder / "control.sock"))

    def sluice(self, *words: str) -> str:
        done = subprocess.run([self.gateway.program, *words], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"sluice {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def inspect(self, *place: str) -> dict:
        """`place`: a path, or what named() says."""
        return json.loads(self.sluice("cache", "inspect", *map(str, place), "--json"))

    def named(self, store: str) -> tuple[str, ...]:
        """A store of the configuration, as the command line takes it."""
        return "--store", store, "--config", str(self.gateway.config)

    def session(self) -> Initiator:
        session = Initiator(self.gateway.port, self.gateway.iqn, INITIATOR, 0)
        for _ in range(10):
            if session.execute(bytes(6)).status == 0:  # after the unit attentions of the new nexus
                return session
        raise AssertionError("the unit is not ready")

    def write(self, octet: int) -> None:
        with self.session() as session:
            command = write_16(0, BLOCKS, False)
            session.execute(command, bytes([octet]) * (BLOCK * BLOCKS)).must_be_good("WRITE")

    def flush(self) -> None:
        with self.session() as session:
            session.execute(synchronize_cache_16()).must_be_good("SYNCHRONIZE CACHE")

    def below_holds(self, octet: int) -> bool:
        return self.read_below(BLOCK * BLOCKS) == bytes([octet]) * (BLOCK * BLOCKS)

    def read_below(self, octets: int) -> bytes:
        """What the medium begins with."""
        with self.image.open("rb") as image:
            return image.read(octets)

    def fails(self, sentence: str, *words: str) -> bool:
        """Whether the command does, with that in its sentence."""
        try:
            self.sluice(*words)
        except AssertionError as error:
            return sentence in str(error)
        return False

    def comes_to(self, state: str) -> bool:
        """Whether the journal is soon in that state."""
        return self.shows("c0", "journal_state", state)

    def shows(self, store: str, figure: str, value) -> bool:
        """Whether a figure of a store is soon that."""
        for _ in range(100):
            if self.figures(store)[figure] == value:
                return True
            time.sleep(0.1)
        return False

    def figures(self, store: str) -> dict:
        told = self.sluice("status", "--json", "--control", str(self.gateway.folder / "control.sock"))
        return next(each["figures"] for each in json.loads(told)["stores"] if each["name"] == store)

    def holds(self, octet: int) -> bool:
        with self.session() as session:
            data = session.execute(read_16(0, BLOCKS), data_in_length=BLOCK * BLOCKS).must_be_good("READ").data
        return data == bytes([octet]) * (BLOCK * BLOCKS)
