#!/usr/bin/env python3
"""Checks line and file length, #pragma once, words that say "unfinished", blanks and tabs. `--fix` has clang-format
wrap the code lines that are too long."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import source

MAX_LINE = 120
MAX_LINES = 600
HERE = Path(__file__).resolve().parent
AWAIT_IN_CONDITION = re.compile(r"\b(if|while|switch) \((?:[^()]|\([^()]*\))*\bco_await\b")


def words() -> list[re.Pattern]:
    lines = (HERE / "words.txt").read_text(encoding="utf-8").splitlines()
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def check_file(name: str, text: str, forbidden: list[re.Pattern]) -> list[str]:
    errors = []
    code = Path(name).suffix in source.CODE
    lines = text.splitlines()
    if len(lines) > MAX_LINES and (code or name.endswith(".py")):
        errors.append(f"{name}:{MAX_LINES + 1}: {len(lines)} lines; at most {MAX_LINES}")
    if name.endswith(".hpp") and "#pragma once" not in lines[:3]:
        errors.append(f"{name}:1: a header begins with #pragma once")
    if text and not text.endswith("\n"):
        errors.append(f"{name}:{len(lines)}: no newline at the end of the file")
    for number, line in enumerate(lines, 1):
        if (code or name.endswith(".py")) and len(line) > MAX_LINE:
            errors.append(f"{name}:{number}: {len(line)} columns; at most {MAX_LINE}")
        if code and "\t" in line:
            errors.append(f"{name}:{number}: a tab")
        if code and line != line.rstrip():
            errors.append(f"{name}:{number}: blanks at the end of the line")
        if code and re.search(r"^\s*using namespace (std|sluice)\s*;", line):
            errors.append(f"{name}:{number}: a using directive for a whole namespace")
        if code and AWAIT_IN_CONDITION.search(line):
            errors.append(f"{name}:{number}: co_await in a condition: GCC 12 takes the coroutine for done there")
        errors += [f"{name}:{number}: the word {match[0]!r}" for one in forbidden if (match := one.search(line))]
    return errors


def wrap_long_lines(root: Path, name: str) -> None:
    lines = (root / name).read_text(encoding="utf-8").splitlines()
    ranges = [f"-lines={number}:{number}" for number, line in enumerate(lines, 1) if len(line) > MAX_LINE]
    if ranges and Path(name).suffix in source.CODE:
        subprocess.run(["clang-format", "-i", *ranges, name], cwd=root, check=True, timeout=60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE.parent.parent)
    parser.add_argument("--fix", action="store_true")
    options = parser.parse_args()
    root = options.root
    names = [name for name in source.files(root, source.TEXT) if name != "tests/lint/words.txt"]
    forbidden = words()
    errors = []
    for name in names:
        if options.fix:
            wrap_long_lines(root, name)
        errors += check_file(name, (root / name).read_text(encoding="utf-8"), forbidden)
    return source.report(errors, "style", len(names))


if __name__ == "__main__":
    sys.exit(main())
