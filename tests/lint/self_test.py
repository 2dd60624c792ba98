#!/usr/bin/env python3
"""Runs the lints over fixtures/LINT/CASE, small trees that must fail (or, with an empty expect.txt, pass).
expect.txt holds the errors, one a line, in order."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run_case(case: Path) -> str | None:
    """What differs from expect.txt; None when nothing does."""
    expected = (case / "expect.txt").read_text(encoding="utf-8").splitlines()
    lint = HERE / f"{case.parent.name}.py"
    done = subprocess.run([sys.executable, lint, "--root", case / "tree"], capture_output=True, text=True, timeout=60,
                          check=False)
    got = done.stdout.splitlines()[:-1]
    if got == expected and done.returncode == (1 if expected else 0):
        return None
    return f"{case.relative_to(HERE)}: status {done.returncode}\n  expected {expected}\n  got      {got}\n{done.stderr}"


def main() -> int:
    cases = sorted(path.parent for path in HERE.glob("fixtures/*/*/expect.txt"))
    failures = [failure for case in cases if (failure := run_case(case))]
    for failure in failures:
        print(failure)
    print(f"lint self-test: {len(cases)} cases, {len(failures)} failures")
    return 1 if failures or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
