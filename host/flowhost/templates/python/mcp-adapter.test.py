"""Tests of what is read of a server's answers."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from flowhost import Failed
from plugin import answer_of, content_of, session_of


class PluginTest(unittest.TestCase):
    def test_refuses_a_server_of_another_revision(self) -> None:
        with self.assertRaises(Failed):
            session_of({"protocolVersion": "2024-11-05"})

    def test_an_error_of_a_tool_is_an_error_here(self) -> None:
        with self.assertRaisesRegex(Failed, "^no$"):
            content_of({"isError": True, "content": [{"type": "text", "text": "no"}]})

    def test_a_notification_is_no_answer_and_a_result_is(self) -> None:
        self.assertIsNone(answer_of({"jsonrpc": "2.0", "method": "notifications/progress"}))
        self.assertEqual(answer_of({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}), {"tools": []})


if __name__ == "__main__":
    unittest.main()
