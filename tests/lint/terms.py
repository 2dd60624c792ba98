#!/usr/bin/env python3
"""Checks that names are the field's terms (docs/glossary.md): no name of code or of a file, no comment and no page has
a word of terms.txt. Text in quotes is not looked at: formats on media and on the wire keep their names."""

import argparse
import re
import sys
from pathlib import Path

import source

HERE = Path(__file__).resolve().parent
LEXEMES = re.compile(r'(?P<include>^\s*#\s*include[^\n]*)|(?P<comment>//[^\n]*)'
                     r'|(?P<raw>R"(?P<end>[^(\s]*)\((?:.|\n)*?\)(?P=end)")'
                     r"""|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')|(?P<name>[A-Za-z_]\w*)""", re.M)


class Term:
    """A line of terms.txt: `name` or `word`, a pattern, what to say instead, and where it may stay."""

    def __init__(self, line: str):
        kind, rest = line.split(maxsplit=1)
        pattern, rest = (part.strip() for part in rest.split("->", 1))
        self.instead, _, places = (part.strip() for part in rest.partition(":"))
        self.of_names = kind == "name"
        self.pattern = re.compile(pattern if self.of_names else rf"\b(?:{pattern})\b")
        self.places = tuple(places.split())

    def allows(self, name: str) -> bool:
        return bool(self.places) and name.startswith(self.places)


def read_terms() -> list[Term]:
    lines = (HERE / "terms.txt").read_text(encoding="utf-8").splitlines()
    return [Term(line) for line in lines if line and not line.startswith("#")]


def check_file(name: str, text: str, terms: list[Term]) -> list[str]:
    names = [term for term in terms if term.of_names and not term.allows(name)]
    words = [term for term in terms if not term.of_names and not term.allows(name)]
    errors = [f"{name}: the name {Path(name).stem!r}; say {term.instead}" for term in names
              if term.pattern.fullmatch(Path(name).stem)]

    def look(at: int, found: str, among: list[Term], match) -> None:
        errors.extend(f"{name}:{text.count(chr(10), 0, at) + 1}: {hit[0]!r}; say {term.instead}" for term in among
                      if (hit := match(term.pattern)(found)))

    if Path(name).suffix in source.CODE:
        for one in LEXEMES.finditer(text):
            if one["name"]:
                look(one.start(), one[0], names, lambda pattern: pattern.fullmatch)
            elif one["comment"]:
                look(one.start(), one[0], words, lambda pattern: pattern.search)
    else:
        for line in re.finditer(r"[^\n]+", re.sub(r"`[^`\n]*`", lambda code: " " * len(code[0]), text)):
            look(line.start(), line[0], words, lambda pattern: pattern.search)
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE.parent.parent)
    root = parser.parse_args().root
    terms = read_terms()
    names = [name for name in source.files(root, source.CODE | {".md"}) if name != "CHANGELOG.md"]
    errors = [error for name in names for error in check_file(name, (root / name).read_text(encoding="utf-8"), terms)]
    return source.report(errors, "terms", len(names))


if __name__ == "__main__":
    sys.exit(main())
