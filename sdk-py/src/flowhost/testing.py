"""Tests of a plugin without a component: the plugin's own code against a host made of plain values. What a test
does not give, the host does not have, and using it is an error that says so.

It does not stand in for the sandbox: rights, limits and schemas are held by the real host, so run the built
component as well. Time, randomness and standard output stay Python's own here; `flowhost.clock` and
`flowhost.random` are the fake's."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Mapping, Sequence

from . import _raw
from ._define import Agent, Guardrail, Output, Subject, Tool, Verdict
from ._json import parse, write
from .errors import Failed, FlowhostError, Invalid, Transient
from .types import Content, Context, Message, Outgoing, Task

CAPABILITIES = (
    "budget", "clock", "config", "files", "http", "log", "mcp_transport", "messaging", "model", "progress", "random",
    "secrets", "state", "tools",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request as the plugin sent it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What a fake server answers; `json` is sent as the body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str = b""
    json: Any = None


def context(**given: Any) -> Context:
    """The context of a call in a test."""
    values: dict[str, Any] = {
        "run": "01J00000000000000000000000",
        "call": "1",
        "step": "step",
        "attempt": 1,
        "actor": "default/plugin",
        "traceparent": "00-00000000000000000000000000000001-0000000000000001-00",
        "deadline_ms": 10_000.0,
        "seed": "0" * 64,
        "key": "key-of-the-call",
    }
    return Context(**(values | given))


class FakeHost:
    """A host in memory, and what a plugin did with it."""

    def __init__(
        self,
        *,
        files: Mapping[str, bytes | str] | None = None,
        http: Mapping[str, Answer] | Callable[[Request], Answer] | None = None,
        model: Sequence[str] | Callable[[Any], str] | None = None,
        tools: Mapping[str, Callable[[Any], Any]] | None = None,
        messages: Mapping[str, Callable[[Any], Any]] | None = None,
        state: Mapping[str, Mapping[str, bytes | str]] | None = None,
        config: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        now_ms: float | None = None,
        random: int | None = None,
        budget: Mapping[str, int] | None = None,
    ) -> None:
        self.logs: list[tuple[str, str, dict[str, str]]] = []
        self.progress: list[tuple[float, float | None, str]] = []
        self.requests: list[Request] = []
        self.prompts: list[Any] = []
        self.published: list[tuple[str, Any]] = []
        self.files = {path: _bytes(data) for path, data in (files or {}).items()}
        self.state: dict[tuple[str, str], bytes] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._now = now_ms or 0.0
        self._functions: dict[str, dict[str, Callable[..., Any]]] = {
            "log": {"write": self._log},
            "progress": {"report": lambda *values: self.progress.append(values)},
        }
        given = {
            "files": None if files is None else self._of_files(),
            "http": None if http is None else {"send": lambda request: self._send(http, request)},
            "model": None if model is None else self._of_model(model),
            "tools": None if tools is None else self._of_tools(tools),
            "messaging": None if messages is None else self._of_messages(messages),
            "state": None if state is None else self._of_state(state),
            "config": None if config is None else _of_config(config),
            "secrets": None if secrets is None else _of_secrets(secrets),
            "clock": None if now_ms is None else {"now_ms": lambda: self._now, "elapsed_ms": lambda: self._now - now_ms},
            "random": None if random is None else {"bytes": _generator(random)},
            "budget": None if budget is None else _of_budget(budget),
        }
        self._functions |= {name: functions for name, functions in given.items() if functions is not None}

    # ---- running

    def advance(self, ms: float) -> None:
        """Lets time pass."""
        self._now += ms

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts this host where the plugin's calls go."""
        before: list[tuple[Any, str, Any]] = []
        for capability in CAPABILITIES:
            module = _raw.load(capability)
            functions = self._functions.get(capability)
            for name in [it for it in vars(module) if callable(vars(module)[it]) and it.islower() and not it.startswith("_")]:
                if getattr(vars(module)[name], "__module__", "") not in (module.__name__, __name__):
                    continue
                before.append((module, name, vars(module)[name]))
                setattr(module, name, _guarded(functions[name]) if functions and name in functions else _absent(capability, name))
        try:
            yield
        finally:
            for module, name, function in before:
                setattr(module, name, function)

    def call(self, plugin: Tool | Sequence[Tool], given: Any, *, name: str | None = None, **values: Any) -> Content:
        """Calls a tool, by name where the plugin has several. Values go through JSON, as they do in the host."""
        tools = [plugin] if isinstance(plugin, Tool) else list(plugin)
        found = [tool for tool in tools if name in (None, tool.name)]
        if len(found) != 1:
            raise Invalid(f"there is no one tool {name!r} here: name one of {', '.join(tool.name for tool in tools)}")
        with self.in_place():
            answer = found[0].call(_through(given, "the input"), context(**values))
        return Content(_through(answer.value, "the result"), answer.parts)

    def plan(self, agent: Agent, given: Any, *, prompt: str = "", schema: Any = None, **values: Any) -> Output:
        """Gives an agent a step's work."""
        with self.in_place():
            output = agent.on_plan(Task("step", _through(given, "the input"), prompt, "", schema), context(**values))
        return Output(_through(output.content, "the result"), output.notes)

    def start(self, agent: Agent, config: Any = None) -> None:
        """Starts an agent with a configuration."""
        with self.in_place():
            agent.on_start({} if config is None else config, context())

    def deliver(self, agent: Agent, topic: str, payload: Any) -> Sequence[Outgoing]:
        """Delivers a message to an agent, and gives what it sends."""
        with self.in_place():
            return agent.on_message(Message("message", topic, "default/other", "", payload), context())

    def check(self, guardrail: Guardrail, value: Any, *, config: Any = None, phase: Any = "after") -> Verdict:
        """Asks a guardrail."""
        with self.in_place():
            return guardrail.check(Subject(phase, "step", _through(value, "the value")), {} if config is None else config, context())

    # ---- capabilities

    def _log(self, level: Any, message: str, fields: Any) -> None:
        self.logs.append((level.name.lower(), message, {it.key: it.value for it in fields}))

    def _of_files(self) -> dict[str, Callable[..., Any]]:
        module = _raw.load("files")

        def read(path: str) -> bytes:
            if path not in self.files:
                raise Invalid(f"{path} is not there")
            return self.files[path]

        def entry(path: str) -> Any:
            name = path.rsplit("/", 1)[-1]
            if path in self.files:
                return module.Entry(name, module.Kind.FILE, str(len(self.files[path])), None)
            if any(file.startswith(path.rstrip("/") + "/") for file in self.files):
                return module.Entry(name, module.Kind.DIRECTORY, "0", None)
            raise Invalid(f"{path} is not there")

        def listed(path: str) -> list[Any]:
            base = path.rstrip("/") + "/"
            names = sorted({file[len(base) :].split("/")[0] for file in self.files if file.startswith(base)})
            if not names:
                raise Invalid(f"{path} is not a directory")
            return [entry(base + name) for name in names]

        def remove(path: str) -> None:
            read(path)
            del self.files[path]

        return {
            "roots": lambda: sorted({"/" + path.split("/")[1] for path in self.files}),
            "read": read,
            "read_range": lambda path, offset, length: read(path)[int(offset) : int(offset) + length],
            "list": listed,
            "stat": entry,
            "write": self.files.__setitem__,
            "append": lambda path, contents: self.files.__setitem__(path, self.files.get(path, b"") + contents),
            "make_directory": lambda path: None,
            "remove": remove,
        }

    def _send(self, answers: Any, raw: Any) -> Any:
        request = Request(raw.method, raw.url, {it.name: it.value for it in raw.headers}, raw.body)
        self.requests.append(request)
        answer = answers(request) if callable(answers) else answers.get(f"{raw.method} {raw.url}", answers.get(raw.url))
        if answer is None:
            raise Transient(f"the fake host has no answer to {raw.method} {raw.url}")
        module = _raw.load("http")
        body = json.dumps(answer.json) if answer.json is not None else answer.body
        return module.Response(answer.status, [module.Header(*it) for it in answer.headers.items()], _bytes(body))

    def _of_model(self, answers: Any) -> dict[str, Callable[..., Any]]:
        module, usage = _raw.load("model"), _raw.load("types").Usage(1, 1, 0.0)

        def complete(prompt: Any) -> Any:
            if not callable(answers) and len(self.prompts) >= len(answers):
                raise Failed(f"the fake model has {len(answers)} answers and was asked once more")
            text = answers(prompt) if callable(answers) else answers[len(self.prompts)]
            self.prompts.append(prompt)
            return module.Completion(text, [], module.Finish.STOP, usage, prompt.model)

        def embed(_: str, texts: Sequence[str]) -> Any:
            return module.Embeddings([[float(len(text)), float(sum(text.encode()))] for text in texts], usage)

        return {"complete": complete, "embed": embed}

    def _of_tools(self, tools: Mapping[str, Callable[[Any], Any]]) -> dict[str, Callable[..., Any]]:
        types = _raw.load("types")
        said = types.Annotations(None, None, None, None)

        def call(name: str, given: str) -> Any:
            if name not in tools:
                raise Invalid(f"the fake host has no tool {name}")
            return types.Content(write(tools[name](parse(given, "the input")), f"the answer of {name}"), [])

        return {"call": call, "list": lambda: [types.Descriptor(it, it, it, "{}", "", types.Effects.ONCE, said) for it in sorted(tools)]}

    def _of_messages(self, answers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Callable[..., Any]]:
        types = _raw.load("types")

        def publish(topic: str, _: str, payload: str) -> str:
            self.published.append((topic, json.loads(payload)))
            return f"message-{len(self.published)}"

        def request(topic: str, payload: str, _: float) -> Any:
            number = publish(topic, "", payload)
            if topic not in answers:
                raise Transient(f"nobody answered on {topic}")
            return types.Message(number, topic, "default/fake", number, write(answers[topic](json.loads(payload)), "the answer"))

        return {"publish": publish, "request": request}

    def _of_state(self, given: Mapping[str, Mapping[str, bytes | str]]) -> dict[str, Callable[..., Any]]:
        module = _raw.load("state")

        def put(namespace: str, key: str, value: bytes) -> str:
            at = (namespace, key)
            self.state[at] = value
            self._revisions[at] = self._revisions.get(at, 0) + 1
            return str(self._revisions[at])

        def get(namespace: str, key: str) -> Any:
            at = (namespace, key)
            return module.Entry(self.state[at], str(self._revisions[at])) if at in self.state else None

        def swap(namespace: str, key: str, expected: str, value: bytes) -> str | None:
            found = get(namespace, key)
            return put(namespace, key, value) if (found.revision if found else "") == expected else None

        for namespace, entries in given.items():
            for key, value in entries.items():
                put(namespace, key, _bytes(value))
        return {
            "get": get,
            "set": put,
            "compare_and_swap": swap,
            "delete": lambda namespace, key: self.state.pop((namespace, key), None) is not None,
            "list": lambda namespace, prefix: sorted(key for at, key in self.state if at == namespace and key.startswith(prefix)),
        }


def _of_config(config: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    return {
        "get": lambda key: write(config[key], "the configuration") if key in config else None,
        "all": lambda: write(dict(config), "the configuration"),
    }


def _of_secrets(secrets: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    def reveal(name: str) -> str:
        if name not in secrets:
            raise Failed(f"the fake host has no value for {name}")
        return secrets[name]

    return {"names": lambda: sorted(secrets), "reveal": reveal}


def _of_budget(budget: Mapping[str, int]) -> dict[str, Callable[..., Any]]:
    values = {"fuel": 1_000_000_000, "host_calls": 1_000, "tokens": 0, "micro_usd": 0} | dict(budget)
    module = _raw.load("budget")
    left = module.Remaining(str(values["fuel"]), str(values["host_calls"]), 10_000.0, str(values["tokens"]), str(values["micro_usd"]))
    return {"left": lambda: left}


def _generator(seed: int) -> Callable[[int], bytes]:
    import random

    return random.Random(seed).randbytes


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _through(value: Any, what: str) -> Any:
    """Through JSON and back, as everything goes that enters or leaves a component."""
    return parse(write(value, what), what)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Raises a test's errors as the host would."""

    def call(*values: Any) -> Any:
        try:
            return function(*values)
        except FlowhostError as error:
            raise _raw.Err(error.raw()) from None

    return call


def _absent(capability: str, name: str) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        key = {"messaging": "messages", "clock": "now_ms"}.get(capability, capability)
        raise AssertionError(f"{capability}.{name} was called, and the fake host has no {capability}: FakeHost({key}=…)")

    return call
