#!/usr/bin/env python3
"""Runs the lints over fixtures/LINT/CASE, small trees that must fail (or, with an empty expect.txt, pass).
expect.txt holds the errors, one a line, in order; a `history` beside it, in the form of git fast-import, makes the tree
a work tree of git. A lint that can say nothing here ends with a line `LINT: left out, ...`, and so do its cases."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 60


def make_repository(case: Path, folder: Path) -> Path:
    tree = folder / "tree"
    shutil.copytree(case / "tree", tree)
    subprocess.run(["git", "init", "-q", "-b", "main", tree], check=True, timeout=TIMEOUT_S)
    subprocess.run(["git", "-C", tree, "fast-import", "--quiet", "--done"], check=True, timeout=TIMEOUT_S,
                   input=(case / "history").read_bytes())
    return tree


def run_lint(name: str, root: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, HERE / f"{name}.py", "--root", root], capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)


def run_case(case: Path) -> tuple[str | None, bool]:
    """What differs from expect.txt, None when nothing does; whether the lint had nothing to say."""
    expected = (case / "expect.txt").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        has_history = (case / "history").is_file()
        done = run_lint(case.parent.name, make_repository(case, Path(folder)) if has_history else case / "tree")
    lines = done.stdout.splitlines()
    left_out = bool(lines) and ": left out, " in lines[-1]
    good = lines[:-1] == expected and done.returncode == (1 if expected else 0)
    if good or (left_out and done.returncode == 0):
        return None, left_out
    return (f"{case.relative_to(HERE)}: status {done.returncode}\n  expected {expected}\n  got      {lines[:-1]}\n"
            f"{done.stderr}"), False


def main() -> int:
    cases = sorted(path.parent for path in HERE.glob("fixtures/*/*/expect.txt"))
    results = [run_case(case) for case in cases]
    failures = [failure for failure, _ in results if failure]
    for failure in failures:
        print(failure)
    left_out = sum(nothing for _, nothing in results)
    print(f"lint self-test: {len(cases)} cases, {len(failures)} failures, {left_out} left out")
    return 1 if failures or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
