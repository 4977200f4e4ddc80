"""Tests against a host of plain values; the built component is tried with `flowhost run plan.yaml`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from flowhost import Invalid
from flowhost.testing import FakeHost
from plugin import plugin


class PluginTest(unittest.TestCase):
    def test_refuses_an_empty_question_before_it_costs_anything(self) -> None:
        host = FakeHost(model=["never given"])
        with self.assertRaises(Invalid):
            host.plan(plugin, {"question": " "})
        self.assertEqual(host.prompts, [])

    def test_hands_back_what_the_model_says(self) -> None:
        host = FakeHost(model=["Because."])
        self.assertEqual(host.plan(plugin, {"question": "Why?"}).content, {"answer": "Because."})
        self.assertEqual([message for _, message, _ in host.logs], ["asking the model"])


if __name__ == "__main__":
    unittest.main()
