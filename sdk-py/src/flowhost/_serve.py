"""The roles over what the author defined: the edge of a component, where every exception leaves as one of the
contract's errors."""

import sys
import traceback
from typing import Any, Callable, Mapping, Sequence

from componentize_py_types import Err
from wit_world.imports import types as wit

from ._define import Agent, Guardrail, McpAdapter, Subject, Tool
from ._json import parse, write
from ._raw import Phase
from .errors import Failed, FlowhostError, Invalid
from .types import Content, Message, Task

#: At most this many places of a traceback: the innermost say where it broke.
FRAMES_MAX = 4


class Sources:
    """The author's modules and their files, so that an error names a line of theirs."""

    files: Mapping[str, str] = {}


def described(error: BaseException) -> str:
    """An error with the author's places, innermost first."""
    places = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Sources.files.get(frame.f_globals.get("__name__", ""))
        if file is not None:
            places.insert(0, f"{file}:{line}")
    where = f" ({' < '.join(places[:FRAMES_MAX])})" if places else ""
    return f"{type(error).__name__}: {error}{where}"


def perform(work: Callable[[], Any]) -> Any:
    """Does the work of one call of an export."""
    Phase.in_call = True
    try:
        return work()
    except FlowhostError as error:
        raise Err(error.raw()) from None
    except Err:
        raise
    except Exception as error:
        raise Err(Failed(described(error)).raw()) from None
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def descriptor(table: Mapping[str, Any]) -> wit.Descriptor:
    """A descriptor of the boundary from a table of the manifest."""
    said = table.get("annotations", {})
    output = table.get("output")
    return wit.Descriptor(
        table["name"],
        table["title"],
        table["description"],
        write(table["input"], "an input schema"),
        "" if output is None else write(output, "an output schema"),
        wit.Effects[table["effects"].upper()],
        wit.Annotations(said.get("read_only"), said.get("destructive"), said.get("idempotent"), said.get("open_world")),
    )


def _content(answer: Any, what: str) -> wit.Content:
    whole = answer if isinstance(answer, Content) else Content(answer)
    return wit.Content(write(whole.value, what), list(whole.parts))


def tool(tools: Sequence[Tool], tables: Sequence[Mapping[str, Any]]) -> type:
    """The role `tool`."""
    descriptors = [descriptor(table) for table in tables]
    by_name = {it.name: it for it in tools}

    class Role:
        def describe(self) -> list[wit.Descriptor]:
            return descriptors

        def call(self, ctx: wit.Context, name: str, input: str) -> wit.Content:
            def work() -> wit.Content:
                if name not in by_name:
                    raise Invalid(f"there is no tool {name!r} here: {', '.join(by_name)}")
                return _content(by_name[name].call(parse(input, "the input"), ctx), "the result")

            return perform(work)

    return Role


def agent(it: Agent) -> type:
    """The role `agent`."""
    from wit_world.exports import agent as role

    class Role:
        def on_start(self, ctx: wit.Context, config: str) -> None:
            perform(lambda: it.on_start(parse(config, "the configuration"), ctx))

        def on_message(self, ctx: wit.Context, msg: wit.Message) -> list[Any]:
            def work() -> list[Any]:
                message = Message(msg.id, msg.topic, msg.sender, msg.correlation, parse(msg.payload, "the message"))
                return [role.Outgoing(out.topic, out.correlation, write(out.payload, f"a message to {out.topic}")) for out in it.on_message(message, ctx)]

            return perform(work)

        def on_plan(self, ctx: wit.Context, task: Any) -> Any:
            def work() -> Any:
                schema = parse(task.schema, "the output's schema") if task.schema else None
                given = Task(task.id, parse(task.input, "the input"), task.prompt, task.prompt_version, schema)
                output = it.on_plan(given, ctx)
                return role.Output(write(output.content, "the result"), list(output.notes))

            return perform(work)

        def on_finish(self, ctx: wit.Context, outcome: Any) -> None:
            perform(lambda: it.on_finish(outcome, ctx))

    return Role


def guardrail(it: Guardrail) -> type:
    """The role `guardrail`."""
    from wit_world.exports import guardrail as role

    class Role:
        def check(self, ctx: wit.Context, subject: Any, config: str) -> Any:
            def work() -> Any:
                given = Subject(subject.phase.name.lower(), subject.step, parse(subject.value, "the value"))
                verdict = it.check(given, parse(config, "the configuration"), ctx)
                findings = [role.Finding(role.Severity[f.severity.upper()], f.code, f.message, f.pointer) for f in verdict.findings]
                value = write(verdict.value, "the rewritten value") if verdict.action == "rewrite" else ""
                return role.Verdict(role.Action[verdict.action.upper()], findings, value)

            return perform(work)

    return Role


def mcp_adapter(it: McpAdapter) -> type:
    """The role `mcp-adapter`."""
    from wit_world.exports import mcp_adapter as role

    work = it.work

    def listed(name: str, empty: Callable[[Any], Any]) -> Callable[..., Any]:
        def page(self: Any, ctx: wit.Context, session: Any, cursor: str) -> Any:
            method = getattr(work, name, None)
            if method is None:
                return empty(role.More("", None))
            return perform(lambda: method(session, cursor or None, ctx))

        return page

    def asked(name: str) -> Any:
        method = getattr(work, name, None)
        if method is None:
            raise Invalid(f"this adapter has no {name}")
        return method

    class Role:
        def connect(self, ctx: wit.Context, config: str) -> Any:
            return perform(lambda: work.connect(it.config.read(parse(config, "the configuration"), "the configuration"), ctx))

        def call_tool(self, ctx: wit.Context, session: Any, name: str, input: str) -> wit.Content:
            return perform(lambda: _content(work.call_tool(session, name, parse(input, "the input"), ctx), f"the answer of {name}"))

        def read_resource(self, ctx: wit.Context, session: Any, uri: str) -> Any:
            return perform(lambda: asked("read_resource")(session, uri, ctx))

        def get_prompt(self, ctx: wit.Context, session: Any, name: str, arguments: str) -> Any:
            return perform(lambda: asked("get_prompt")(session, name, parse(arguments, "the arguments"), ctx))

        def close(self, session: Any) -> None:
            if hasattr(work, "close"):
                perform(lambda: work.close(session))

        list_tools = listed("list_tools", lambda more: role.ToolPage([], more))
        list_resources = listed("list_resources", lambda more: role.ResourcePage([], more))
        list_resource_templates = listed("list_resource_templates", lambda more: role.TemplatePage([], more))
        list_prompts = listed("list_prompts", lambda more: role.PromptPage([], more))

    return Role
