"""Which iscsi-test-cu runs: the installed one, or that of Debian 13, unpacked with its own C library below a folder."""

import subprocess
from pathlib import Path

from debian import Release

PACKAGE, SUITE = "libiscsi-bin", "trixie"
UNPACK_S, LIST_S = 60, 30
# SendTargets in a normal session, which no target may answer [RFC7143 C]; once refused, the tool waits for ever.
NEVER_ENDS = "ALL.iSCSISendTargets"


class ToolError(Exception):
    """Why there is no tool, in a sentence."""


class Tool:
    """`command`: its first words. `suites`: to be run one by one; None: all in one."""

    def __init__(self, command: list[str], suites: list[str] | None = None):
        self.command, self.suites = command, suites


def installed() -> Tool:
    return Tool(["iscsi-test-cu"])


def debian13(folder: Path) -> Tool:
    """Downloads it once."""
    root = folder / "root"
    if not (folder / "unpacked").exists():
        release = Release(SUITE, folder)
        release.update()
        for package in release.download_with_all_it_needs(PACKAGE):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True, timeout=UNPACK_S)
        (folder / "unpacked").touch()
    libraries = next(root.glob("usr/lib/*-linux-gnu*"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    command = [str(loader), "--library-path", str(libraries), str(root / "usr" / "bin" / "iscsi-test-cu")]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, timeout=LIST_S, check=False).stdout
    suites = [line for line in listed.split() if line.startswith("ALL.") and line.count(".") == 1]
    if not suites:
        raise ToolError("the tool of Debian 13 lists no tests")
    return Tool(command, [suite for suite in suites if suite != NEVER_ENDS])


TOOLS = {"installed": lambda _: installed(), "debian13": debian13}
