"""Tests against a host of plain values; the built component is tried with `flowhost run plan.yaml`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from flowhost.testing import FakeHost
from plugin import plugin


class PluginTest(unittest.TestCase):
    def test_stops_one_character_too_many_and_passes_the_last_that_fits(self) -> None:
        judged = [FakeHost().check(plugin, "abc", config={"longest": longest}).action for longest in (4, 5)]
        self.assertEqual(judged, ["deny", "pass"])


if __name__ == "__main__":
    unittest.main()
