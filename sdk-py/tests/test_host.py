"""Each host module against the fake host: values, errors by class, and what a test did not give."""

import unittest

from flowhost import Conflict, Denied, Failed, Invalid, LimitReached, Transient
from flowhost import budget, clock, config, files, http, log, messages, model, progress, random, secrets, state, tools
from flowhost.testing import Answer, FakeHost


class HostTest(unittest.TestCase):
    def test_a_capability_that_the_test_did_not_give_is_named(self) -> None:
        with FakeHost().in_place():
            with self.assertRaisesRegex(AssertionError, r"files.read was called, and the fake host has no files: FakeHost\(files=…\)"):
                files.read("/a")
            with self.assertRaisesRegex(AssertionError, r"FakeHost\(now_ms=…\)"):
                clock.now_ms()

    def test_without_a_host_nothing_answers(self) -> None:
        with self.assertRaises(NotImplementedError):
            clock.now_ms()

    def test_errors_come_by_class(self) -> None:
        cases = [
            Denied("http", "https://example.com/", "http#none"),
            LimitReached("http.request", "2", "1"),
            Invalid("a"),
            Transient("b"),
            Failed("c"),
            Conflict("d"),
        ]
        for error in cases:

            def refuse(_: object, error: Exception = error) -> Answer:
                raise error

            with self.subTest(error.kind), FakeHost(http=refuse).in_place():
                with self.assertRaises(type(error)) as caught:
                    http.get("https://example.com/")
                self.assertEqual(str(caught.exception), str(error))
                self.assertIsNot(caught.exception, error)

    def test_files_are_bytes_and_texts_below_paths(self) -> None:
        host = FakeHost(files={"/docs/a.txt": "ä€", "/docs/deep/b.bin": b"\x01\x02\xff"})
        with host.in_place():
            self.assertEqual(files.roots(), ["/docs"])
            self.assertEqual(files.read_text("/docs/a.txt"), "ä€")
            self.assertEqual(files.read_range("/docs/deep/b.bin", 1, 9), b"\x02\xff")
            self.assertEqual([(it.name, it.kind, it.size) for it in files.list("/docs")], [("a.txt", "file", 5), ("deep", "directory", 0)])
            files.write("/docs/c.txt", "x")
            files.append("/docs/c.txt", b"y")
            files.remove("/docs/a.txt")
            with self.assertRaises(Invalid):
                files.stat("/docs/a.txt")
        self.assertEqual(host.files["/docs/c.txt"], b"xy")

    def test_http_sends_json_and_reads_it(self) -> None:
        host = FakeHost(http={"POST https://example.com/a": Answer(201, {"A": "1"}, json={"ok": True})})
        with host.in_place():
            answer = http.post("https://example.com/a", json={"n": 1}, headers={"X-A": "b"})
            self.assertEqual((answer.status, answer.ok, answer.json(), answer.header("a")), (201, True, {"ok": True}, "1"))
            with self.assertRaises(Transient):
                http.get("https://example.com/none")
        self.assertEqual(host.requests[0].headers, {"X-A": "b", "content-type": "application/json"})
        self.assertEqual(host.requests[0].body, b'{"n": 1}')

    def test_a_model_answers_in_turn_and_out_of_answers_it_says_so(self) -> None:
        host = FakeHost(model=["hello"])
        with host.in_place():
            call = model.ToolCall("1", "look", {"at": [1]})
            turns = [model.Turn("assistant", "", [call]), model.Turn("tool", "seen", answers="1")]
            self.assertEqual(model.complete("mock/a", turns).content, "hello")
            with self.assertRaises(Failed):
                model.complete("mock/a", "more")
            vectors, _ = model.embed("mock/e", ["a", "b"])
            self.assertNotEqual(vectors[0], vectors[1])
        self.assertEqual(host.prompts[0].temperature, -1)
        self.assertEqual(host.prompts[0].turns[0].tool_calls[0].arguments, '{"at":[1]}')

    def test_state_swaps_only_from_the_revision_that_was_seen(self) -> None:
        host = FakeHost(state={"notes": {"a": "1"}})
        with host.in_place():
            seen = state.get("notes", "a")
            assert seen is not None
            self.assertEqual(seen.json(), 1)
            self.assertIsNotNone(state.compare_and_swap("notes", "a", seen.revision, "2"))
            self.assertIsNone(state.compare_and_swap("notes", "a", seen.revision, "3"))
            self.assertIsNotNone(state.compare_and_swap("notes", "b", None, "new"))
            self.assertEqual(state.list("notes"), ["a", "b"])
            self.assertEqual([state.remove("notes", "a"), state.remove("notes", "a")], [True, False])

    def test_time_moves_when_the_test_says_so(self) -> None:
        host = FakeHost(now_ms=1_000)
        with host.in_place():
            self.assertEqual((clock.now_ms(), clock.elapsed_ms()), (1_000, 0))
            host.advance(500)
            self.assertEqual((clock.now_ms(), clock.elapsed_ms()), (1_500, 500))

    def test_the_rest_of_the_host(self) -> None:
        host = FakeHost(
            config={"greeting": "hi"},
            secrets={"TOKEN": "t"},
            tools={"other/double": lambda given: given["n"] * 2},
            messages={"ask": lambda payload: {"got": payload}},
            budget={"tokens": 5},
            random=7,
        )
        with host.in_place():
            self.assertEqual((config.get("greeting"), config.get("none"), config.all()), ("hi", None, {"greeting": "hi"}))
            self.assertEqual((secrets.names(), secrets.reveal("TOKEN")), (["TOKEN"], "t"))
            self.assertEqual(([it.name for it in tools.list()], tools.call("other/double", {"n": 2}).value), (["other/double"], 4))
            self.assertEqual(messages.request("ask", 1).payload, {"got": 1})
            self.assertEqual(budget.left().tokens, 5)
            self.assertEqual(len(random.bytes(3)), 3)
            log.warn("careful", n=1, word="x")
            progress.report(1, 2, "half")
        self.assertEqual(host.logs, [("warn", "careful", {"n": "1", "word": "x"})])
        self.assertEqual(host.progress, [(1.0, 2.0, "half")])


if __name__ == "__main__":
    unittest.main()
