#!/usr/bin/env python3
"""The parser against the tool's traps, and expected.txt's own form."""

import unittest

from expected import Expectations
from log import Outcome, is_complete, parse

LOG = """
Suite: Read10
  Test: Simple ...passed
  Test: Skips ...    [SKIPPED] READ10 is missing.
    [SKIPPED] READ10 is missing.
passed
  Test: Lies ...    [FAILED] READ10 command failed with status 2
passed
  Test: Fails ...    [FAILED] READ10 successful but should have failed
FAILED
    1. test_read10.c:38  - CU_ASSERT_EQUAL(_r,0)
  Test: Asserts ...FAILED
    1. test_read10.c:39  - CU_ASSERT_EQUAL(_r,0)
  Test: AsksAgain ...    [FAILED] RESERVE6 command: failed with sense. SENSE KEY:UNIT_ATTENTION(6)
passed
  Test: CleansUp ...passed    [FAILED] PRIN command: failed with sense. SENSE KEY:UNIT_ATTENTION(6)
Suite: Read16
  Test: Talks ...    Take out a RESERVE6
    RELEASE6
passed
  Test: Hangs ...    first words
"""


class Parser(unittest.TestCase):
    def test_verdicts(self):
        outcomes = parse(LOG)
        self.assertEqual(outcomes["Read10.Simple"], Outcome("passed"))
        self.assertEqual(outcomes["Read10.Skips"], Outcome("skipped", "READ10 is missing."))
        self.assertEqual(outcomes["Read10.Lies"].status, "failed")
        self.assertEqual(outcomes["Read10.Fails"].reason, "READ10 successful but should have failed")
        self.assertEqual(outcomes["Read10.Asserts"].status, "failed")
        self.assertEqual(outcomes["Read10.AsksAgain"], Outcome("passed"))
        self.assertEqual(outcomes["Read10.CleansUp"], Outcome("passed"))
        self.assertEqual(outcomes["Read16.Talks"], Outcome("passed"))
        self.assertEqual(outcomes["Read16.Hangs"].status, "failed")
        self.assertEqual(len(outcomes), 9)
        self.assertFalse(is_complete(LOG))


class Expected(unittest.TestCase):
    EXPECTED = Expectations("[every run]\nA.X passed\nA.Y passed\nA.Z may race\n"
                            "[one-path chap]\nA.Y skipped No paths\n")

    def test_what_is_wrong(self):
        good = {"A.X": Outcome("passed"), "A.Y": Outcome("passed"), "A.Z": Outcome("failed", "raced")}
        self.assertEqual(self.EXPECTED.differences("two-paths", good), [])
        self.assertEqual(len(self.EXPECTED.differences("one-path", good)), 1)
        skipped = good | {"A.Y": Outcome("skipped", "No paths. Skipping")}
        self.assertEqual(self.EXPECTED.differences("chap", skipped), [])
        self.assertEqual(len(self.EXPECTED.differences("two-paths", skipped)), 1)
        other_reason = good | {"A.Y": Outcome("skipped", "No such command")}
        self.assertEqual(len(self.EXPECTED.differences("chap", other_reason)), 1)
        self.assertIn("A.X: missing", self.EXPECTED.differences("two-paths", {}))
        unknown = good | {"A.New": Outcome("passed")}
        self.assertEqual(len(self.EXPECTED.differences("two-paths", unknown)), 1)

    def test_the_file_reads(self):
        self.assertEqual(len(Expectations.of_tool("installed").of_run("two-paths")), 230)


if __name__ == "__main__":
    unittest.main()
