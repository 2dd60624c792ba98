"""Packages of another release of Debian, downloaded by an apt for which nothing is installed."""

import subprocess
from pathlib import Path

MIRROR, KEYRING = "http://deb.debian.org/debian", "/usr/share/keyrings/debian-archive-keyring.gpg"
DOWNLOAD_S = 300


class DebianError(Exception):
    """What apt says."""


class Release:
    """`suite`: trixie, sid, …; `folder`: where its lists and archives lie."""

    def __init__(self, suite: str, folder: Path):
        self.suite, self.folder = suite, folder
        for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n")

    def call(self, program: str, *words: str, cwd: Path | None = None) -> str:
        """What apt-get or apt-cache prints."""
        options = {"Dir::State": self.folder / "state", "Dir::State::status": self.folder / "status",
                   "Dir::Cache": self.folder / "cache", "Dir::Etc": self.folder / "etc",
                   "Dir::Etc::sourcelist": self.folder / "sources.list", "APT::Install-Recommends": "false",
                   "APT::Sandbox::User": "root"}
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        done = subprocess.run([program, *settings, *words], capture_output=True, text=True, timeout=DOWNLOAD_S,
                              check=False, cwd=cwd)
        if done.returncode != 0:
            raise DebianError(f"{self.suite}: {program} {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def update(self) -> None:
        self.call("apt-get", "-q", "update")

    def download_with_all_it_needs(self, package: str) -> list[Path]:
        self.call("apt-get", "-q", "install", "-y", "--download-only", package)
        return sorted((self.folder / "cache" / "archives").glob("*.deb"))
