#!/usr/bin/env python3
"""Checks every #include of the tree against the floors of the tree (floors.txt)."""

import argparse
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import source

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
BESIDE_THE_CODE = re.compile(r"_(test|fuzz|bench)\.cpp$|/test_[^/]*$")


class Rules:
    def __init__(self, text: str):
        self.floor_of: dict[str, int] = {}
        self.beside: dict[str, set[str]] = {}
        self.leaves: list[tuple[list[str], list[str]]] = []
        self.confined: list[tuple[list[str], list[str]]] = []
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#")[0].split()
            if words:
                self._read(number, words[0], words[1:])

    def _read(self, number: int, rule: str, words: list[str]) -> None:
        if rule == "floor" and len(words) > 1:
            self.floor_of.update((module, int(words[0])) for module in words[1:])
        elif rule == "beside" and len(words) > 1:
            self.beside.setdefault(words[0], set()).update(words[1:])
        elif rule in ("leaf", "confine") and ":" in words:
            colon = words.index(":")
            (self.leaves if rule == "leaf" else self.confined).append((words[:colon], words[colon + 1:]))
        else:
            sys.exit(f"floors.txt:{number}: not a rule: {rule} {' '.join(words)}")

    def floor(self, module: str) -> int | None:
        if module in self.floor_of:
            return self.floor_of[module]
        return next((floor for pattern, floor in self.floor_of.items() if same_depth(module, pattern)), None)

    def module(self, path: str) -> str | None:
        """The module that a path lies in: the longest folder that has a floor."""
        parts = path.split("/")[:-1]
        folders = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((folder for folder in folders if self.floor(folder) is not None), None)

    def is_leaf_to(self, module: str, user: str) -> bool:
        """Whether `module` is a concrete fabric or store that `user` must not know."""
        if module in self.floor_of and not any(module in leaves for leaves, _ in self.leaves):
            return False  # a module named by itself, such as the seam fabrics/port, is not meant by fabrics/*
        return any(any(same_depth(module, leaf) for leaf in leaves) and
                   not any(same_depth(user, allowed) for allowed in users) for leaves, users in self.leaves)


def same_depth(module: str, pattern: str) -> bool:
    return module.count("/") == pattern.count("/") and fnmatchcase(module, pattern)


def check_include(rules: Rules, file: str, header: str, quoted: bool) -> str | None:
    """What is wrong with this include; None when nothing is."""
    for headers, allowed in rules.confined:
        if any(fnmatchcase(header, one) for one in headers) and not any(fnmatchcase(file, one) for one in allowed):
            return f"<{header}> is confined to {' '.join(allowed)}"
    if not quoted:
        return None
    here, there = rules.module(file), rules.module(header)
    if here is None:
        return "this folder has no floor; give it one in floors.txt"
    if there is None:
        return f'"{header}" lies in no module; write the path from the top of the tree'
    if here == there:
        return None
    low, high = rules.floor(there), rules.floor(here)
    if low > high:
        return f"{here} (floor {high}) includes upward: {header} (floor {low})"
    if BESIDE_THE_CODE.search(file):
        return None
    if low == high and high != 9 and there not in rules.beside.get(here, ()):
        return f"{here} includes its sibling {header} (floor {high})"
    if rules.is_leaf_to(there, here) and there not in rules.beside.get(here, ()):
        return f"{here} includes {header}: a concrete fabric or store is known to the composition root alone"
    return None


def check_tree(root: Path, rules: Rules) -> tuple[list[str], int]:
    errors = []
    names = source.files(root, source.CODE)
    for name in names:
        for number, line in enumerate((root / name).read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            wrong = check_include(rules, name, match[2], match[1] == '"') if match else None
            if wrong:
                errors.append(f"{name}:{number}: {wrong}")
    return errors, len(names)


def main() -> int:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=here.parent.parent)
    parser.add_argument("--rules", type=Path, default=here / "floors.txt")
    options = parser.parse_args()
    errors, count = check_tree(options.root, Rules(options.rules.read_text(encoding="utf-8")))
    return source.report(errors, "floors", count)


if __name__ == "__main__":
    sys.exit(main())
