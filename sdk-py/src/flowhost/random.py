"""Randomness as the profile's `[random] source` gives it: seeded (the same in every attempt and replay) or from
the operating system. Needs `random = "granted"` below `[needs]`. `random`, `uuid` and `os.urandom` of Python read
it too."""

import builtins

from . import _raw

_random = _raw.load("random")


def bytes(length: int) -> builtins.bytes:
    """`length` random bytes, at most 64 KiB."""
    return builtins.bytes(_raw.ask("random.bytes", _random.bytes, length))
