"""How far a call is, for whoever waits for it. Needs `log = true` below `[needs]` and in the profile: it is words
for people, as a log line is, and counts against `limits.log`."""

from . import _raw

_progress = _raw.load("progress")


def report(done: float, total: float | None = None, message: str = "") -> None:
    """Tells how far the call is: `done` of `total` (None: not known) in any unit, and what it is at."""
    _raw.ask("progress.report", _progress.report, float(done), None if total is None else float(total), message)
