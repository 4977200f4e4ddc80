"""Tests against a host of plain values; the built component is tried with `flowhost run plan.yaml`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from flowhost import Invalid
from flowhost.testing import FakeHost
from plugin import plugin


class PluginTest(unittest.TestCase):
    def test_refuses_a_text_without_words(self) -> None:
        with self.assertRaises(Invalid):
            FakeHost().call(plugin, {"text": " \n"})

    def test_counts_words_and_characters(self) -> None:
        answer = FakeHost().call(plugin, {"text": "zwei Wörter"})
        self.assertEqual(answer.value, {"words": 2, "characters": 11})


if __name__ == "__main__":
    unittest.main()
