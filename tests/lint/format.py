#!/usr/bin/env python3
"""Checks that every C++ file is as clang-format makes it, or with `--fix` makes it so. Another version formats in
another way: only the one of .clang-format has a say. Where it is not there, nothing can be said."""

import argparse
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import source

VERSION = "14"  # of Debian 12
AT_ONCE = 40


def find_tool() -> str | None:
    for name in (f"clang-format-{VERSION}", "clang-format"):
        path = shutil.which(name)
        if not path:
            continue
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
        if re.search(rf"version {VERSION}\.", told):
            return path
    return None


def run(tool: str, root: Path, names: list[str], fix: bool) -> list[str]:
    how = ["-i"] if fix else ["--dry-run", "--ferror-limit=1"]
    done = subprocess.run([tool, "--style=file", *how, *names], cwd=root, capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode != 0:
        return [f"clang-format: {done.stderr.strip()}"]
    places = re.findall(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", done.stderr, re.MULTILINE)
    first: dict[str, str] = {}
    for name, line in places:
        first.setdefault(name, line)
    return [f"{name}:{line}: not as clang-format {VERSION} makes it" for name, line in first.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("--fix", action="store_true")
    options = parser.parse_args()
    tool = find_tool()
    if not tool:
        print(f"format: left out, for there is no clang-format {VERSION}")
        return 0
    names = source.files(options.root, source.CODE)
    parts = [names[at:at + AT_ONCE] for at in range(0, len(names), AT_ONCE)]
    with ThreadPoolExecutor(2) as pool:
        errors = [error for part in pool.map(lambda part: run(tool, options.root, part, options.fix), parts)
                  for error in part]
    return source.report(errors, "format", len(names))


if __name__ == "__main__":
    sys.exit(main())
