"""Time as the profile's `[clock] wall` gives it: real, or virtual. Needs `clock = "granted"` below `[needs]`.
`time.time` and `datetime.now` read it too."""

from . import _raw

_clock = _raw.load("clock")


def now_ms() -> float:
    """Milliseconds since the Unix epoch."""
    return _raw.ask("clock.now_ms", _clock.now_ms)


def elapsed_ms() -> float:
    """Milliseconds since this call began."""
    return _raw.ask("clock.elapsed_ms", _clock.elapsed_ms)
