#!/usr/bin/env python3
"""Checks that each header compiles alone. Takes the flags from a build's compile_commands.json."""

import argparse
import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import source

TIMEOUT_S = 120


def flags(build: Path) -> list[str]:
    """The compiler, and the include and language flags of all modules together."""
    commands = [shlex.split(entry["command"]) for entry in json.loads((build / "compile_commands.json").read_text())]
    compiler = next(word for word in commands[0] if not word.endswith("ccache"))
    kept: dict[str, None] = {}
    for command in commands:
        for index, word in enumerate(command):
            if word.startswith(("-I", "-D", "-std=", "-march=")):
                kept[word] = None
            elif word == "-isystem":
                kept["-isystem" + command[index + 1]] = None
    return [compiler, *kept, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++"]


def compile_alone(root: Path, command: list[str], header: str) -> str | None:
    done = subprocess.run([*command, "-"], cwd=root, input=f'#include "{header}"\n', capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)
    return None if done.returncode == 0 else f"{header}:1: does not compile alone:\n{done.stderr.rstrip()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    command = flags(options.build)
    headers = [name for name in source.files(options.root, {".hpp"})]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda header: compile_alone(options.root, command, header), headers)
    return source.report([error for error in results if error], "headers alone", len(headers))


if __name__ == "__main__":
    sys.exit(main())
