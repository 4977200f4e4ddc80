"""Small values that the host keeps for a plugin, so that they outlive its instances and a reload. Needs
`state = { namespaces = ["…"] }` below `[needs]` and the namespace in the profile's `[state]`."""

import builtins
import json
from dataclasses import dataclass
from typing import Any

from . import _raw

_state = _raw.load("state")


@dataclass(frozen=True)
class Entry:
    """A value and the revision that `compare_and_swap` asks for."""

    value: bytes
    revision: str

    def text(self) -> str:
        """The value as UTF-8."""
        return self.value.decode()

    def json(self) -> Any:
        """The value as JSON."""
        return json.loads(self.value)


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def get(namespace: str, key: str) -> Entry | None:
    """Reads a key."""
    found = _raw.ask("state.get", _state.get, namespace, key)
    return None if found is None else Entry(bytes(found.value), found.revision)


def set(namespace: str, key: str, value: bytes | str) -> str:
    """Writes a key and returns its new revision."""
    return _raw.ask("state.set", _state.set, namespace, key, _bytes(value))


def compare_and_swap(namespace: str, key: str, expected: str | None, value: bytes | str) -> str | None:
    """Writes a key only if its revision is still `expected` (None: only if it is absent). Returns the new
    revision, or None if another write came first."""
    return _raw.ask("state.compare_and_swap", _state.compare_and_swap, namespace, key, expected or "", _bytes(value))


def remove(namespace: str, key: str) -> bool:
    """Removes a key; true if it was there."""
    return _raw.ask("state.remove", _state.delete, namespace, key)


def list(namespace: str, prefix: str = "") -> builtins.list[str]:
    """Keys that start with `prefix`, sorted, at most 1,000."""
    return _raw.ask("state.list", _state.list, namespace, prefix)
