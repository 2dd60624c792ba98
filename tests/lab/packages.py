"""What the guest needs beside the host's own root: a kernel, busybox, udev, open-iscsi, multipath-tools. Unpacked, not
installed."""

import re
import shutil
import subprocess
from pathlib import Path

from debian import Release

TOOLS = ["busybox-static", "kmod", "udev", "libudev1", "sg3-utils", "sg3-utils-udev", "open-iscsi", "dmsetup", "kpartx",
         "multipath-tools", "ibverbs-providers"]
MERGED = ("bin", "lib", "sbin")  # symbolic links into /usr, as on the host
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


def unpack_kernel(suite: str, folder: Path) -> Path:
    """The kernel that the meta package of a release stands for today, "" that of the host's; its folder."""
    release = Release(suite, folder / suite) if suite else None
    if release and not list((folder / suite / "state" / "lists").glob("*Packages*")):
        release.update()
    ask = release.call if release else call
    found = re.search(r"Depends: (linux-image-\S+)", ask("apt-cache", "depends", KERNEL_META))
    if not found:
        raise LabError(f"apt knows no {KERNEL_META}; run apt-get update")
    into = folder / (found[1] + (f"-{suite}" if suite else ""))
    # Newer releases divide it.
    parts = re.findall(r"Depends: (linux-(?:binary|modules)-\S+)", ask("apt-cache", "depends", found[1]))
    for package in [found[1], *parts]:
        unpack(package, into, ask)
    return into


def missing_libraries(package: str) -> list[str]:
    """Those that the package needs, by way of other libraries too, and the host has not."""
    host = set(call("dpkg-query", "-W", "-f", "${Package}\n").splitlines())
    found: list[str] = []
    wanted = [package]
    while wanted:
        needed = re.findall(r"^ +(?:Pre)?Depends: (lib\S+)$", call("apt-cache", "depends", wanted.pop()), re.M)
        new = [name for name in dict.fromkeys(needed) if name not in host and name not in found]
        found += new
        wanted += new
    return found


def unpack(package: str, folder: Path, ask=call) -> None:
    """Downloads a package and unpacks it, with /bin, /lib and /sbin below /usr; once."""
    done = folder / f".{package}.unpacked"
    if done.exists():
        return
    for name in MERGED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    downloads = folder / ".downloads"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir()
    ask("apt-get", "download", package, cwd=downloads)
    for archive in downloads.iterdir():
        call("sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"', archive, folder)
    shutil.rmtree(downloads)
    done.touch()


def unpack_with_libraries(package: str, folder: Path) -> None:
    if (folder / f".{package}.unpacked").exists():
        return
    for library in missing_libraries(package):
        unpack(library, folder)
    unpack(package, folder)


QEMU_PACKAGE, QEMU_SUITE = "qemu-system-x86", "trixie"
RECONNECTS = (8, 2)  # the first QEMU whose SCSI device survives its backend


def installed_qemu() -> tuple[int, int]:
    found = re.search(r"version (\d+)\.(\d+)", call("qemu-system-x86_64", "--version"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def qemu_that_reconnects(folder: Path) -> list:
    """The installed QEMU's command, or that of Debian 13, unpacked with its own C library: downloaded once."""
    if installed_qemu() >= RECONNECTS:
        return ["qemu-system-x86_64"]
    root, done = folder / "qemu" / "root", folder / "qemu" / "unpacked"
    if not done.exists():
        release = Release(QEMU_SUITE, folder / "qemu")
        release.update()
        root.mkdir(exist_ok=True)
        for archive in release.download_with_all_it_needs(QEMU_PACKAGE):
            call("dpkg-deb", "-x", archive, root)
        done.touch()
    libraries = next(root.glob("usr/lib/*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    return [loader, "--library-path", libraries, root / "usr" / "bin" / "qemu-system-x86_64",
            "-L", root / "usr" / "share" / "qemu", "-L", root / "usr" / "share" / "seabios"]


class Guest:
    """The unpacked guest: `tools` (a root of packages), `kernel` (a bzImage) and `modules` (/lib/modules)."""

    def __init__(self, folder: Path, suite: str):
        self.tools = folder / "root"
        for package in TOOLS:
            unpack_with_libraries(package, self.tools)
        unpacked = unpack_kernel(suite, folder)
        self.modules = unpacked / "lib" / "modules"
        self.version = next(self.modules.iterdir()).name
        places = [unpacked / "boot" / f"vmlinuz-{self.version}", self.modules / self.version / "vmlinuz"]
        self.kernel = next(place for place in places if place.exists())
        if not (self.modules / self.version / "modules.dep").exists():
            call("depmod", "-b", unpacked, self.version, executable=self.tools / "bin" / "kmod")

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
