#!/usr/bin/env python3
"""Checks that each key of the configuration and each command and option of the command line that the sources name has
its place in the pages; that tables of keys stand between marks, where the program makes them, with no key that no
source names; and that the page of the control socket has what its schema has. Unit tests hold the pages against the
program word by word, and a live test the schema; this needs no build."""

import argparse
import json
import re
import sys
from pathlib import Path

import source

KEYS_PAGE = "docs/configuration.md"
MANUAL = "docs/man/sluice.1.md"
NOT_THE_PROGRAM = re.compile(r"_(test|fuzz|bench)\.cpp$|/test_[^/]*$|^tests/|^bench/")

# A key is a config::key, written in braces or by a function whose name ends with "key"; ppm is one of the fault store.
# Tables have titles of their own.
KEY = re.compile(r"""\.name\s*=\s*"([\w.]+)",\s*\.(?!type\s=\skind::tables)(?:type|required|help)\b
                   | \{\s*"([\w.]+)",\s*(?:config::)?kind::
                   | \b(?:\w+_key|ppm)\("([\w.]+)",""", re.VERBOSE)
TABLES = re.compile(r"""\.name\s*=\s*"([\w.]+)",\s*\.type\s=\skind::tables""")
OPTION = re.compile(r"""\badd_(?:option|flag)\(\s*"--([\w-]+)",""")
# A command has its name and a sentence, alone or after the one that it belongs to; std::pair is a list of them.
COMMAND = re.compile(r"""\b(?:add|add_asking|add_subcommand|add_for_\w+|pair)[({]\s*(?:[\w.>()-]+,\s*)?"""
                     r""""([a-z-]+)",\s*"\w+[^"]* """)
KEYS_BEGIN = re.compile(r"<!-- keys(?: of [\w ]+)?: made from the program -->")
KEYS_END = "<!-- end of keys -->"
KEYS_HEAD = "| key | takes |"
KEYS_ROW = re.compile(r"\| `([\w.]+)` \|")
SCHEMA = "docs/control.schema.json"
CONTROL = "docs/control.md"
HIDDEN = '->group("")'


def program_files(root: Path, folder: str = "") -> list[str]:
    return [name for name in source.files(root, source.CODE)
            if name.startswith(folder) and not NOT_THE_PROGRAM.search(name)]


def found(root: Path, names: list[str], pattern: re.Pattern) -> list[tuple[str, int, str]]:
    """File, line and what the pattern names, but for what is hidden on purpose: before the next command begins."""
    all_found = []
    for name in names:
        text = (root / name).read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            next_command = COMMAND.search(text, match.end())
            if HIDDEN not in text[match.end():next_command.start() if next_command else len(text)]:
                all_found.append((name, text.count("\n", 0, match.start()) + 1, next(filter(None, match.groups()))))
    return all_found


def page(root: Path, name: str) -> str:
    path = root / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def check_tables(root: Path, name: str, keys: set[str]) -> list[str]:
    """What is wrong with the tables of keys on a page; `keys` are those that sources name."""
    errors, begun = [], 0
    for number, line in enumerate(page(root, name).splitlines(), 1):
        begins, ends = KEYS_BEGIN.fullmatch(line), line == KEYS_END
        if begins and begun or ends and not begun:
            errors.append(f"{name}:{number}: a mark of keys without its other one")
        if begins or ends:
            begun = number if begins else 0
        elif line.startswith(KEYS_HEAD) and not begun:
            errors.append(f"{name}:{number}: a table of keys by hand; let the program make it, between marks")
        elif begun and (row := KEYS_ROW.match(line)) and row[1] not in keys:
            errors.append(f"{name}:{number}: no source names the key {row[1]}")
    return errors + ([f"{name}:{begun}: a mark of keys without its other one"] if begun else [])


def members(schema) -> list[str]:
    """Of all objects that a JSON Schema speaks of."""
    if isinstance(schema, list):
        return [name for each in schema for name in members(each)]
    if not isinstance(schema, dict):
        return []
    return [*schema.get("properties", {}), *members(list(schema.values()))]


def check_schema(root: Path) -> list[str]:
    """The page of the control socket beside its schema."""
    if not (text := page(root, SCHEMA)):
        return []
    schema, told = json.loads(text), page(root, CONTROL)
    words = set(re.findall(r"""["`]([a-z]\w*)["`]""", told))
    commands = {name.removesuffix(".result") for name in schema["$defs"] if name.endswith(".result")}
    rows = set(re.findall(r"^\| `([a-z.]+)` \|", told, re.MULTILINE))
    return ([f"{SCHEMA}: the member {name} is not in {CONTROL}" for name in sorted({*members(schema)} - words)]
            + [f"{SCHEMA}: the command {name} has no row in {CONTROL}" for name in sorted(commands - rows)]
            + [f"{CONTROL}: the command {name} is not in {SCHEMA}" for name in sorted(rows - commands)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    root = parser.parse_args().root
    sources = program_files(root)
    named = found(root, sources, KEY)
    keys = set(re.findall(r"^\| `([\w.]+)` \|", page(root, KEYS_PAGE), re.MULTILINE))
    manual = page(root, MANUAL)
    options = set(re.findall(r"^- `--([\w-]+)", manual, re.MULTILINE))
    commands = {word for title in re.findall(r"^### sluice (.*)$", manual, re.MULTILINE) for word in title.split()}
    command_line = program_files(root, "config/cli/")
    checks = [("key", named, keys, KEYS_PAGE, "has no row"),
              ("option --", found(root, command_line, OPTION), options, MANUAL, "is not"),
              ("command", found(root, command_line, COMMAND), commands, MANUAL, "is not")]
    errors = [f"{name}:{line}: {what}{'' if what.endswith('-') else ' '}{word} {how} in {where}"
              for what, places, known, where, how in checks for name, line, word in places if word not in known]
    tables = {word for _, _, word in named} | {word for name in sources
                                               for word in TABLES.findall((root / name).read_text(encoding="utf-8"))}
    pages = sorted(str(path.relative_to(root)) for path in (root / "docs").glob("*.md"))
    errors += [error for name in pages for error in check_tables(root, name, tables)]
    errors += check_schema(root)
    return source.report(errors, "documented", sum(len(places) for _, places, *_ in checks), "names")


if __name__ == "__main__":
    sys.exit(main())
