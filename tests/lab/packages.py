"""What the guest needs beside the host's own root: a kernel, busybox, open-iscsi. Unpacked, not installed."""

import re
import subprocess
from pathlib import Path

TOOLS = ["busybox-static", "kmod", "open-iscsi", "libisns0", "libopeniscsiusr"]
KERNEL_META = "linux-image-amd64"
DOWNLOAD_S = 300


class LabError(Exception):
    """Something that keeps the lab from running, in a sentence."""


def call(*command, cwd: Path | None = None, executable: Path | None = None) -> str:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=cwd, executable=executable, capture_output=True, text=True, timeout=DOWNLOAD_S,
                              check=False)
    except FileNotFoundError:
        raise LabError(f"{words[0]} is not installed") from None
    if done.returncode != 0:
        raise LabError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def kernel_package() -> str:
    """The package that the meta package stands for today."""
    found = re.search(r"Depends: (linux-image-\S+)", call("apt-cache", "depends", KERNEL_META))
    if not found:
        raise LabError(f"apt knows no {KERNEL_META}; run apt-get update")
    return found[1]


def unpack(package: str, folder: Path) -> None:
    """Downloads a package and unpacks it; once."""
    done = folder / f".{package}.unpacked"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    call("apt-get", "download", package, cwd=folder)
    for archive in folder.glob(f"{package}_*.deb"):
        call("dpkg", "-x", archive, folder)
        archive.unlink()
    done.touch()


class Guest:
    """The unpacked guest: `tools` (bin/busybox, sbin/iscsid), `kernel` (a bzImage) and `modules` (/lib/modules)."""

    def __init__(self, folder: Path):
        self.tools = folder / "tools"
        for package in TOOLS:
            unpack(package, self.tools)
        unpack(package := kernel_package(), folder / package)
        self.kernel = next((folder / package / "boot").glob("vmlinuz-*"))
        self.version = self.kernel.name.removeprefix("vmlinuz-")
        self.modules = folder / package / "lib" / "modules"
        if not (self.modules / self.version / "modules.dep").exists():
            call("depmod", "-b", folder / package, self.version, executable=self.tools / "bin" / "kmod")

    def module_files(self, names: list[str]) -> list[Path]:
        """The files of these modules and of what they need, in the order of loading."""
        needs: dict[str, list[str]] = {}
        for line in (self.modules / self.version / "modules.dep").read_text().splitlines():
            file, rest = line.split(":", 1)
            needs[file] = rest.split()
        by_name = {Path(file).name.split(".ko")[0].replace("-", "_"): file for file in needs}
        ordered: dict[str, None] = {}
        for name in names:
            if name in by_name:  # else it is built in
                ordered |= dict.fromkeys([*reversed(needs[by_name[name]]), by_name[name]])
        return [self.modules / self.version / file for file in ordered]
