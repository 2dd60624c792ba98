#!/usr/bin/env python3
"""The crash test's oracle: what it must accept, and every kind of loss that it must notice."""

import unittest

from crash import BLOCK, BLOCKS_PER_SLOT, Lost, Model, block_data


def contents(number: int, sequences: list[int]) -> bytes:
    first = number * BLOCKS_PER_SLOT
    return b"".join(block_data(first + index, sequence) if sequence else bytes(BLOCK)
                    for index, sequence in enumerate(sequences))


class Oracle(unittest.TestCase):
    def setUp(self):
        self.model = Model(1)
        self.slot = self.model.slots[3]

    def found(self, *sequences: int) -> None:
        spread = [sequences[index % len(sequences)] for index in range(BLOCKS_PER_SLOT)]
        self.model.check(3, contents(3, spread))

    def test_accepts_what_was_promised_and_later(self):
        self.found(0)
        self.slot.durable, self.slot.issued = 7, 9
        self.found(7)
        self.found(9)
        self.found(7, 9)  # an unacknowledged write may be torn between blocks

    def test_notices_losses(self):
        self.slot.durable, self.slot.issued = 7, 9
        for lost in (0, 6, 10):
            with self.assertRaises(Lost):
                self.found(7, lost)

    def test_notices_misplaced_and_torn_blocks(self):
        self.slot.durable, self.slot.issued = 7, 9
        with self.assertRaises(Lost):
            self.model.check(3, contents(4, [7] * BLOCKS_PER_SLOT))
        good = contents(3, [7] * BLOCKS_PER_SLOT)
        with self.assertRaises(Lost):
            self.model.check(3, good[:256] + contents(3, [9] * BLOCKS_PER_SLOT)[256:512] + good[512:])

    def test_a_lost_write_may_not_come_back(self):
        self.slot.durable, self.slot.acknowledged, self.slot.issued = 7, 9, 9
        data = contents(3, [7] * BLOCKS_PER_SLOT)
        self.model.check(3, data)
        self.model.settle(3, data)
        self.assertEqual(self.slot.acknowledged, 7)
        with self.assertRaises(Lost):
            self.found(9)


if __name__ == "__main__":
    unittest.main()
