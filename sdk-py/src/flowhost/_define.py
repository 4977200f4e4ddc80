"""The four kinds. Each is a value that stands in the author's module under the name `plugin`; a list of tools
stands for a plugin with several."""

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Literal, Sequence

from ._json import Shape
from .errors import Failed
from .types import Content, Context, Message, Outgoing, Task

Effects = Literal["none", "idempotent", "keyed", "once"]
Work = Callable[..., Any]


def finish(result: Any) -> Any:
    """Runs a coroutine to its end. There is no event loop: what waits for anything waits for ever."""
    if not inspect.iscoroutine(result):
        return result
    try:
        result.send(None)
    except StopIteration as end:
        return end.value
    result.close()
    raise Failed("the plugin waits for something that nobody brings: there is no event loop in a call")


def call(work: Work, *values: Any) -> Any:
    """Calls with as many of the values as the function takes: the context may be left out."""
    takes = [it for it in inspect.signature(work).parameters.values() if it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD)]
    takes_any = any(it.kind is it.VAR_POSITIONAL for it in inspect.signature(work).parameters.values())
    return finish(work(*(values if takes_any else values[: len(takes)])))


@dataclass(frozen=True)
class Tool:
    """A tool. Call it in a test through `flowhost.testing.FakeHost`."""

    name: str
    title: str
    description: str
    effects: Effects
    annotations: dict[str, bool]
    input: Shape
    output: Shape | None
    run: Work
    kind = "tool"

    def describe(self) -> dict[str, Any]:
        """Its descriptor, as a table of the manifest."""
        table: dict[str, Any] = {"name": self.name, "title": self.title, "description": self.description, "effects": self.effects}
        table["input"] = self.input.schema()
        if self.output is not None:
            table["output"] = self.output.schema()
        if self.annotations:
            table["annotations"] = self.annotations
        return table

    def call(self, given: Any, context: Context) -> Content:
        """Checks, runs, checks."""
        answer = call(self.run, self.input.read(given, "the input"), context)
        whole = answer if isinstance(answer, Content) else Content(answer)
        value = whole.value if self.output is None else self.output.plain(whole.value, "the result")
        return Content(value, whole.parts)


def define_tool(
    *,
    name: str,
    description: str,
    input: type[Any] | None = None,
    output: type[Any] | None = None,
    title: str | None = None,
    effects: Effects = "once",
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
    run: Work | None = None,
) -> Any:
    """Makes a tool of a function of input and context; without `run` it is a decorator. `input` and `output` are
    types, dataclasses for most: their JSON Schema is what the host checks and models read."""
    said = {"read_only": read_only, "destructive": destructive, "idempotent": idempotent, "open_world": open_world}

    def make(work: Work) -> Tool:
        return Tool(
            name,
            title or name,
            description,
            effects,
            {key: value for key, value in said.items() if value is not None},
            Shape(input),
            None if output is None else Shape(output),
            work,
        )

    return make if run is None else make(run)


@dataclass(frozen=True)
class Output:
    """A step's result with short remarks for the report."""

    content: Any
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Agent:
    """An agent. What is None does nothing."""

    config: Shape
    input: Shape
    output: Shape
    on_plan_work: Work
    on_start_work: Work | None
    on_message_work: Work | None
    on_finish_work: Work | None
    kind = "agent"

    def on_start(self, config: Any, context: Context) -> None:
        # Checked even when nobody reads it: a wrong configuration ends the run before it does anything.
        checked = self.config.read(config, "the configuration")
        if self.on_start_work is not None:
            call(self.on_start_work, checked, context)

    def on_plan(self, task: Task, context: Context) -> Output:
        given = Task(task.id, self.input.read(task.input, "the input"), task.prompt, task.prompt_version, task.schema)
        answer = call(self.on_plan_work, given, context)
        whole = answer if isinstance(answer, Output) else Output(answer)
        return Output(self.output.plain(whole.content, "the result"), whole.notes)

    def on_message(self, message: Message, context: Context) -> Sequence[Outgoing]:
        if self.on_message_work is None:
            return ()
        return call(self.on_message_work, message, context) or ()

    def on_finish(self, outcome: Any, context: Context) -> None:
        if self.on_finish_work is not None:
            call(self.on_finish_work, outcome, context)


def define_agent(
    *,
    on_plan: Work,
    on_start: Work | None = None,
    on_message: Work | None = None,
    on_finish: Work | None = None,
    config: type[Any] | None = None,
    input: type[Any] | None = None,
    output: type[Any] | None = None,
) -> Agent:
    """Makes an agent. Each call may be an instance of its own: what must outlive it goes into `state`."""
    return Agent(Shape(config), Shape(input), Shape(output), on_plan, on_start, on_message, on_finish)


@dataclass(frozen=True)
class Subject:
    """What a guardrail looks at: the step's input (`before`) or output (`after`)."""

    phase: Literal["before", "after"]
    step: str
    value: Any


@dataclass(frozen=True)
class Finding:
    """One thing found. `pointer` is an RFC 6901 pointer into the value; empty for the whole."""

    code: str
    message: str
    severity: Literal["info", "warning", "error"] = "error"
    pointer: str = ""


@dataclass(frozen=True)
class Verdict:
    """What to do. The plan's `on_fail` decides what `deny` means for the run."""

    action: Literal["pass", "rewrite", "deny"]
    findings: tuple[Finding, ...] = ()
    value: Any = None


def passed(*findings: Finding) -> Verdict:
    """Nothing against it."""
    return Verdict("pass", findings)


def deny(*findings: Finding) -> Verdict:
    """It must not go on."""
    return Verdict("deny", findings)


def rewrite(value: Any, *findings: Finding) -> Verdict:
    """It goes on as `value`."""
    return Verdict("rewrite", findings, value)


@dataclass(frozen=True)
class Guardrail:
    """A guardrail."""

    config: Shape
    work: Work
    kind = "guardrail"

    def check(self, subject: Subject, config: Any, context: Context) -> Verdict:
        return call(self.work, subject, self.config.read(config, "the configuration"), context)


def define_guardrail(*, config: type[Any] | None = None, check: Work | None = None) -> Any:
    """Makes a guardrail of a function of subject, configuration and context; without `check` it is a decorator."""

    def make(work: Work) -> Guardrail:
        return Guardrail(Shape(config), work)

    return make if check is None else make(check)


@dataclass(frozen=True)
class McpAdapter:
    """An MCP adapter over an object with the role's methods."""

    config: Shape
    work: Any
    kind = "mcp-adapter"


def define_mcp_adapter(work: Any, *, config: type[Any] | None = None) -> McpAdapter:
    """Makes an adapter of an object with the methods of the role: `connect(config, context)`,
    `list_tools(session, cursor, context)`, `call_tool(session, name, input, context)` and, where the server has
    such things, `list_resources`, `list_resource_templates`, `read_resource`, `list_prompts`, `get_prompt`, `close`.
    Sessions, pages and descriptors are the contract's own records (`wit_world.exports.mcp_adapter`)."""
    return McpAdapter(Shape(config), work)


