"""Which files the lints read, shared by all of them."""

import subprocess
from pathlib import Path

CODE = {".cpp", ".hpp"}
TEXT = CODE | {".py", ".sh", ".cmake", ".md", ".txt", ".toml", ".yml"}


def is_checkout(root: Path) -> bool:
    """Whether root is the top of a work tree of git."""
    top = subprocess.run(["git", "-C", root, "rev-parse", "--show-toplevel"], capture_output=True, text=True,
                         check=False)
    return top.returncode == 0 and Path(top.stdout.strip()) == root.resolve()


def files(root: Path, suffixes: set[str]) -> list[str]:
    """Paths, relative to root, of the files of the project: what git knows or would add; without git, every file."""
    if is_checkout(root):
        which = ["--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(["git", "-C", root, "ls-files", "-z", *which, "."], capture_output=True, text=True,
                                 check=True)
        found = listing.stdout.split("\0")
    else:
        found = [str(path.relative_to(root)) for path in root.rglob("*")]
    kept = {name for name in found if Path(name).suffix in suffixes and (root / name).is_file()}
    return sorted(name for name in kept if not name.startswith(("build/", "tests/lint/fixtures/")))


def report(errors: list[str], what: str, count: int, of: str = "files") -> int:
    """Prints the errors, or that there are none; the exit status."""
    for error in errors:
        print(error)
    print(f"{what}: {len(errors)} errors in {count} {of}")
    return 1 if errors else 0
