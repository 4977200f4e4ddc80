"""Calls to language models. The host holds the keys. Needs `model = "granted"` below `[needs]` and `[model]` in
the profile."""

from dataclasses import dataclass
from typing import Any, Sequence

from . import _raw
from ._json import parse, write

_model = _raw.load("model")


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Turn:
    """`speaker` is `system`, `user`, `assistant` or `tool`; `answers` is the id of the call that a tool answers."""

    speaker: str
    content: str
    tool_calls: Sequence[ToolCall] = ()
    answers: str = ""


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: float


@dataclass(frozen=True)
class Completion:
    """`finish` is `stop`, `length`, `tool-calls` or `content-filter`."""

    content: str
    tool_calls: tuple[ToolCall, ...]
    finish: str
    usage: Usage
    model: str


def _raw_turn(turn: Turn) -> Any:
    calls = [_model.ToolCall(it.id, it.name, write(it.arguments, f"the arguments of {it.name}")) for it in turn.tool_calls]
    return _model.Turn(_model.Speaker[turn.speaker.upper()], turn.content, calls, turn.answers)


def complete(
    model: str,
    turns: str | Sequence[Turn],
    *,
    tools: Sequence[tuple[str, str, Any]] = (),
    answer_schema: Any = None,
    temperature: float | None = None,
    max_tokens: int = 1024,
    seed: str = "",
    stop: Sequence[str] = (),
) -> Completion:
    """Completes a conversation; a text stands for one turn of the user. `tools` are name, description and input
    schema. Raises Denied, LimitReached, Invalid, Transient, Failed."""
    said = [Turn("user", turns)] if isinstance(turns, str) else turns
    prompt = _model.Prompt(
        model,
        [_raw_turn(turn) for turn in said],
        [_model.ToolSpec(name, text, write(schema, "an input schema")) for name, text, schema in tools],
        "" if answer_schema is None else write(answer_schema, "the answer's schema"),
        # Below 0 is the contract's word for the provider's own.
        -1.0 if temperature is None else float(temperature),
        max_tokens,
        seed,
        list(stop),
    )
    answer = _raw.ask("model.complete", _model.complete, prompt)
    calls = tuple(ToolCall(it.id, it.name, parse(it.arguments, "a tool call's arguments")) for it in answer.tool_calls)
    finish = answer.finish.name.lower().replace("_", "-")
    return Completion(answer.content, calls, finish, _usage(answer.usage), answer.model)


def embed(model: str, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
    """Embeds texts: one vector each."""
    answer = _raw.ask("model.embed", _model.embed, model, list(texts))
    return [list(vector) for vector in answer.vectors], _usage(answer.usage)


def _usage(raw: Any) -> Usage:
    return Usage(raw.prompt_tokens, raw.completion_tokens, raw.cost_micro_usd)
