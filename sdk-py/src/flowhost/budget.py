"""What is left. Needs `budget = true` below `[needs]` and in the profile."""

from dataclasses import dataclass

from . import _raw

_budget = _raw.load("budget")


@dataclass(frozen=True)
class Remaining:
    """Amounts left for this call or run; money in millionths of a US dollar."""

    fuel: int
    host_calls: int
    deadline_ms: float
    tokens: int
    micro_usd: int


def left() -> Remaining:
    """Reads the budget."""
    raw = _raw.ask("budget.left", _budget.left)
    return Remaining(int(raw.fuel), int(raw.host_calls), raw.deadline_ms, int(raw.tokens), int(raw.micro_usd))
