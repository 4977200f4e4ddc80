"""What can go wrong, by class. The contract has six cases and no others: the host maps each to retry, exit
code and ledger, so a plugin chooses its class with care."""

from typing import Any


class FlowhostError(Exception):
    """Any error of the contract. Raise one of its classes; catch this one to catch them all."""

    kind = ""

    def raw(self) -> Any:
        """The form that leaves the component."""
        from wit_world.imports import types

        return getattr(types, f"Error_{self.kind.capitalize()}")(str(self))


class Denied(FlowhostError):
    """Policy said no. Never retried. Normally comes from a host function."""

    kind = "denied"

    def __init__(self, right: str, wanted: str, rule: str) -> None:
        super().__init__(f"denied: {right}: {wanted} ({rule})")
        self.right, self.wanted, self.rule = right, wanted, rule

    def raw(self) -> Any:
        from wit_world.imports import types

        return types.Error_Denied(types.Denial(self.right, self.wanted, self.rule))


class LimitReached(FlowhostError):
    """A limit was reached. Never retried. Numbers are decimal texts in the limit's own unit."""

    kind = "limit"

    def __init__(self, limit: str, used: str, allowed: str) -> None:
        super().__init__(f"limit {limit}: used {used}, allowed {allowed}")
        self.limit, self.used, self.allowed = limit, used, allowed

    def raw(self) -> Any:
        from wit_world.imports import types

        return types.Error_Limit(types.Limit(self.limit, self.used, self.allowed))


class Invalid(FlowhostError):
    """The input was wrong. Never retried."""

    kind = "invalid"


class Transient(FlowhostError):
    """It may work next time. Retried as the plan says."""

    kind = "transient"


class Failed(FlowhostError):
    """It did not work and will not."""

    kind = "failed"


class Conflict(FlowhostError):
    """The world is not as the call needs it: the thing is there already, or somebody changed it first."""

    kind = "conflict"


def from_raw(raw: Any) -> FlowhostError:
    """The class for an error of the boundary."""
    case = type(raw).__name__.removeprefix("Error_").lower()
    if case == "denied":
        return Denied(raw.value.right, raw.value.wanted, raw.value.rule)
    if case == "limit":
        return LimitReached(raw.value.name, raw.value.used, raw.value.allowed)
    classes = {it.kind: it for it in (Invalid, Transient, Failed, Conflict)}
    return classes[case](raw.value)
