"""Calls tools of other plugins. Every call goes back through policy and guardrails. Needs `tools = "granted"`
below `[needs]` and `[tools] call` in the profile."""

import builtins
from typing import Any

from . import _raw
from ._json import parse, write
from .types import Content

_tools = _raw.load("tools")


def list() -> builtins.list[Any]:
    """Descriptors of the tools that this plugin may call, named `plugin/tool`."""
    return _raw.ask("tools.list", _tools.list)


def call(name: str, input: Any) -> Content:
    """Calls `plugin/tool`. Raises Denied, Invalid, and whatever the tool answers."""
    raw = _raw.ask("tools.call", _tools.call, name, write(input, f"the input of {name}"))
    return Content(parse(raw.value, f"the answer of {name}"), raw.parts)
