"""This plugin's own `config:` from the plan. Needs `config = true` below `[needs]` and in the profile."""

from typing import Any

from . import _raw
from ._json import parse

_config = _raw.load("config")


def get(key: str, default: Any = None) -> Any:
    """One top-level key; `default` where the plan does not set it."""
    text = _raw.ask("config.get", _config.get, key)
    return default if text is None else parse(text, f"the configuration's {key!r}")


def all() -> Any:
    """The whole configuration; `{}` where there is none."""
    return parse(_raw.ask("config.all", _config.all), "the configuration")
