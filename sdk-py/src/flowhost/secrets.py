"""Names of secrets, and by a right of its own their values. A value normally never enters the sandbox: the host
injects it into a request. Needs `secrets = "granted"` below `[needs]` and `[secrets]` in the profile."""

from . import _raw

_secrets = _raw.load("secrets")


def names() -> list[str]:
    """Names in `secrets.names`, sorted."""
    return _raw.ask("secrets.names", _secrets.names)


def reveal(name: str) -> str:
    """The value. Needs the name in `secrets.reveal`."""
    return _raw.ask("secrets.reveal", _secrets.reveal, name)
