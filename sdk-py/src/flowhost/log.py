"""Log lines of a plugin. Needs `log = true` below `[needs]` and in the profile; bounded by `limits.log`."""

import json
from typing import Any

from . import _raw

_log = _raw.load("log")


def write(level: str, message: str, **fields: Any) -> None:
    """Writes one line: `trace`, `debug`, `info`, `warn` or `error`. Never fails."""
    texts = [_log.Field(key, value if isinstance(value, str) else json.dumps(value, default=str)) for key, value in fields.items()]
    _raw.ask("log.write", _log.write, _log.Level[level.upper()], message, texts)


def trace(message: str, **fields: Any) -> None:
    write("trace", message, **fields)


def debug(message: str, **fields: Any) -> None:
    write("debug", message, **fields)


def info(message: str, **fields: Any) -> None:
    write("info", message, **fields)


def warn(message: str, **fields: Any) -> None:
    write("warn", message, **fields)


def error(message: str, **fields: Any) -> None:
    write("error", message, **fields)
