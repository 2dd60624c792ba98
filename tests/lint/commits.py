#!/usr/bin/env python3
"""Checks the messages of the commits since commits_base.txt: a subject of at most 72 characters, a blank line, a body.
Merges are left out. Where there is no git, or not enough of its history, nothing can be said."""

import argparse
import subprocess
import sys
from pathlib import Path

import source

MAX_SUBJECT = 72
BASE = "tests/lint/commits_base.txt"


def git(root: Path, *words: str) -> str | None:
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def messages_since(root: Path, base: str) -> list[tuple[str, str]]:
    """Short hash and message, the oldest first."""
    listing = git(root, "log", "-z", "--reverse", "--no-merges", "--abbrev=10", "--format=%h%n%B", f"{base}..HEAD")
    entries = [entry for entry in (listing or "").split("\0") if entry]
    return [tuple(entry.split("\n", 1)) for entry in entries]


def check_message(name: str, message: str) -> list[str]:
    lines = message.rstrip("\n").split("\n")
    errors = []
    if len(lines[0]) > MAX_SUBJECT:
        errors.append(f"{name}: {len(lines[0])} characters of subject; at most {MAX_SUBJECT}")
    if len(lines) > 1 and lines[1].strip():
        errors.append(f"{name}: no blank line between subject and body")
    elif not "".join(lines[1:]).strip():
        errors.append(f"{name}: no body")
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("--message", type=Path, help="a file with one message: it alone is checked, before the commit")
    options = parser.parse_args()
    if options.message:
        text = options.message.read_text(encoding="utf-8")
        written = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
        return source.report(check_message("message", written), "commits", 1, "messages")
    root = options.root
    base = (root / BASE).read_text(encoding="utf-8").split("\n")[0].split()[0]
    if not source.is_checkout(root) or git(root, "merge-base", "--is-ancestor", base, "HEAD") is None:
        print(f"commits: left out, for there is no history since {base[:10]}")
        return 0
    messages = messages_since(root, base)
    errors = [error for name, message in messages for error in check_message(name, message)]
    return source.report(errors, "commits", len(messages), "messages")


if __name__ == "__main__":
    sys.exit(main())
