"""A mistake in a module of its own, whose line an error should name."""

from typing import Any


def broken(part: dict[str, Any]) -> Any:
    return part["inner"]
