"""Which iscsi-test-cu runs: the installed one, or that of Debian 13, unpacked with its own C library below a folder."""

import subprocess
from pathlib import Path

PACKAGE, SUITE = "libiscsi-bin", "trixie"
MIRROR, KEYRING = "http://deb.debian.org/debian", "/usr/share/keyrings/debian-archive-keyring.gpg"
DOWNLOAD_S, LIST_S = 300, 30
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


def apt(folder: Path, *words: str) -> None:
    """An apt of its own, for which nothing is installed yet."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {SUITE} main\n")
    options = {"Dir::State": folder / "state", "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
               "Dir::Etc": folder / "etc", "Dir::Etc::sourcelist": folder / "sources.list",
               "APT::Install-Recommends": "false", "APT::Sandbox::User": "root"}
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    done = subprocess.run(["apt-get", "-q", *settings, *words], capture_output=True, text=True, timeout=DOWNLOAD_S,
                          check=False)
    if done.returncode != 0:
        raise ToolError(f"apt-get {' '.join(words)}: {done.stderr.strip()}")


def debian13(folder: Path) -> Tool:
    """Downloads it once."""
    root = folder / "root"
    if not (folder / "unpacked").exists():
        apt(folder, "update")
        apt(folder, "install", "-y", "--download-only", PACKAGE)
        for package in sorted((folder / "cache" / "archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True, timeout=DOWNLOAD_S)
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
