"""Reads the verbose log of iscsi-test-cu.

The tool calls a skipped test "passed", and a test that printed [FAILED] may be "passed" too; so the text between a
test's name and its verdict decides. What comes after the verdict belongs to the clean-up between two tests.
"""

import re
from dataclasses import dataclass

# Tests that want a command to fail, and send it through a helper that logs [FAILED] when it does: the tool's verdict
# counts.
WANT_FAILURE = {"iSCSIdatasn.iSCSIDataSnInvalid"}

TEST = re.compile(r"^  Test: (\S+) \.\.\.(.*)$")
VERDICT = re.compile(r"^\s*(passed|FAILED)\b")


@dataclass(frozen=True)
class Outcome:
    status: str  # passed, skipped, failed
    reason: str = ""  # of a skip or a failure: the tool's first words on it


def parse(text: str) -> dict[str, Outcome]:
    """Suite.Test -> its outcome. A test that the log ends within is failed."""
    outcomes: dict[str, Outcome] = {}
    suite, test, body = "", None, []
    for line in text.splitlines():
        if line.startswith("Suite: "):
            suite, test = line.removeprefix("Suite: ").strip(), None
        elif match := TEST.match(line):
            test, body = f"{suite}.{match[1]}", []
            outcomes[test] = Outcome("failed", "the log ends within this test")
            line = match[2]
        if test is None:
            continue
        body.append(line)
        if verdict := VERDICT.match(line):
            outcomes[test] = judge(verdict[1], body[:-1], test in WANT_FAILURE)
            test = None
    return outcomes


def judge(verdict: str, body: list[str], wants_failure: bool = False) -> Outcome:
    def first(mark: str) -> str | None:
        return next((line.split(mark, 1)[1].strip() for line in body if mark in line), None)

    # A command that a unit attention kept back is asked again, and only then decides; the tool logs the first try too.
    answered = [line for line in body if "[FAILED]" in line and "UNIT_ATTENTION" not in line]
    failure = answered[0].split("[FAILED]", 1)[1].strip() if answered else None
    if verdict == "FAILED" or (failure is not None and not wants_failure):
        return Outcome("failed", failure or "an assertion")
    skip = first("[SKIPPED]")
    return Outcome("passed") if skip is None else Outcome("skipped", skip)


def is_complete(text: str) -> bool:
    """Whether the tool came to its own end."""
    return "Run Summary:" in text
