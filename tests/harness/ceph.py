"""A Ceph cluster of one's own, for as long as a test needs it: tests/ceph/cluster as a context manager."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent / "ceph" / "cluster"
POOL = "rbd"


class ClusterError(Exception):
    """A cluster that does not do what it should."""


class Cluster:
    """`images`: name -> size as the rbd tool takes it. `within`: what makes a command run where its address is."""

    def __init__(self, osds: int = 1, store: str = "memstore", images: dict[str, str] | None = None,
                 settings: dict[str, str] | None = None, size: int = 4 << 30, address: str = "127.0.0.1",
                 within: tuple[str, ...] = ()):
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-ceph-"))
        self.conf = self.folder / "cluster" / "ceph.conf"
        self.options = ["--osds", osds, "--store", store, "--size", size, "--address", address]
        self.within = within
        for name, image_size in (images or {}).items():
            self.options += ["--image", f"{name}={image_size}"]
        for key, value in (settings or {}).items():
            self.options += ["--set", f"{key}={value}"]

    def __enter__(self):
        # SIGTERM, as a time limit sends it, would otherwise end this process without its daemons.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            self._tool("start", *self.options, limit_s=150)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._tool("destroy")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, daemon: str) -> None:
        """SIGKILL."""
        self._tool("kill", daemon)

    def up(self, daemon: str) -> None:
        self._tool("up", daemon)

    def mon(self, prefix: str, **words) -> str:
        return self._tool("mon", json.dumps({"prefix": prefix, **words}))

    def import_keys(self, keyring: str) -> None:
        self._tool("keys", given=keyring)

    def rbd(self, *words, limit_s: float = 60) -> str:
        return self._tool("rbd", *words, limit_s=limit_s)

    def rados(self, *words) -> str:
        return self._tool("rados", *words)

    def store_keys(self, image: str, **more) -> dict:
        """The keys of a [store.X] table of type "rbd"."""
        return {"pool": POOL, "image": image, "user": "sluice", "conf": str(self.conf), **more}

    def _tool(self, command: str, *words, limit_s: float = 90, given: str = "") -> str:
        done = subprocess.run([*self.within, str(TOOL), command, str(self.conf.parent), *map(str, words)],
                              capture_output=True, input=given, text=True, timeout=limit_s, check=False)
        if done.returncode != 0:
            raise ClusterError(f"cluster {command}: {done.stderr.strip()}")
        return done.stdout.strip()
