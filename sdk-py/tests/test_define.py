"""The four kinds, called as the host calls them."""

import unittest
from dataclasses import dataclass
from typing import Any

from flowhost import Failed, Finding, Invalid, Outgoing, Output, content, define_agent, define_guardrail, define_tool, deny, passed, rewrite
from flowhost.testing import FakeHost


@dataclass
class Number:
    n: float
    times: float = 2


@dataclass
class Product:
    n: float


@define_tool(name="double", description="Doubles a number.", input=Number, output=Product, effects="none", read_only=True)
async def double(given: Number) -> Any:
    return content(Product(given.n * given.times), f"{given.n} times {given.times}")


class DefineTest(unittest.TestCase):
    def test_a_tool_checks_its_input_fills_defaults_in_and_gives_value_and_parts(self) -> None:
        answer = FakeHost().call(double, {"n": 4})
        self.assertEqual((answer.value, answer.parts[0].body.value), ({"n": 8}, "4.0 times 2"))
        with self.assertRaisesRegex(Invalid, "the input does not fit"):
            FakeHost().call(double, {"times": 4})

    def test_a_result_that_does_not_fit_is_the_plugins_failure_and_not_the_callers(self) -> None:
        wrong = define_tool(name="w", description="w", output=Product, run=lambda: 2)
        with self.assertRaises(Failed):
            FakeHost().call(wrong, {})

    def test_what_json_cannot_say_is_an_error_and_not_a_silent_loss(self) -> None:
        for value in (float("nan"), {1, 2}, object()):
            tool = define_tool(name="t", description="t", run=lambda *, value=value: {"value": value})
            with self.assertRaises(Failed):
                FakeHost().call(tool, {})

    def test_a_descriptor_has_the_schema_of_what_goes_in_and_of_what_comes_out(self) -> None:
        table = double.describe()
        self.assertEqual((table["name"], table["title"], table["effects"], table["annotations"]), ("double", "double", "none", {"read_only": True}))
        self.assertEqual(table["input"]["required"], ["n"])
        self.assertEqual(table["input"]["properties"]["times"], {"type": "number", "default": 2})
        self.assertEqual(table["output"]["properties"], {"n": {"type": "number"}})

    def test_of_several_tools_one_is_called_by_its_name(self) -> None:
        half = define_tool(name="half", description="h", run=lambda given: given / 2)
        self.assertEqual(FakeHost().call([double, half], 4, name="half").value, 2)
        with self.assertRaisesRegex(Invalid, "name one of double, half"):
            FakeHost().call([double, half], 4)

    def test_what_waits_for_nothing_that_comes_is_told(self) -> None:
        class Never:
            def __await__(self) -> Any:
                yield self

        async def run() -> None:
            await Never()

        with self.assertRaisesRegex(Failed, "there is no event loop"):
            FakeHost().call(define_tool(name="t", description="t", run=run), {})

    def test_an_agent_checks_what_comes_works_and_answers_messages(self) -> None:
        agent = define_agent(
            config=Product,
            input=Number,
            output=Product,
            on_plan=lambda task: Output(Product(task.input.n), ["a note"]),
            on_message=lambda message: [Outgoing("out", message.payload, message.id)],
        )
        host = FakeHost()
        host.start(agent, {"n": 1})
        with self.assertRaisesRegex(Invalid, "the configuration does not fit"):
            host.start(agent, {})
        self.assertEqual(host.plan(agent, {"n": 3}), Output({"n": 3}, ["a note"]))
        self.assertEqual(host.deliver(agent, "in", 5), [Outgoing("out", 5, "message")])

    def test_a_guardrail_passes_stops_and_rewrites(self) -> None:
        @define_guardrail(config=Number)
        def guardrail(subject: Any, config: Number) -> Any:
            if subject.value == config.n:
                return deny(Finding("n", "no"))
            return rewrite("even") if subject.value == "odd" else passed()

        actions = [FakeHost().check(guardrail, value, config={"n": 1}).action for value in (1, "odd", 2)]
        self.assertEqual(actions, ["deny", "rewrite", "pass"])


if __name__ == "__main__":
    unittest.main()
