"""A way to one MCP server whose process or connection the host owns: JSON-RPC frames on streams. Only for plugins
of the kind `mcp-adapter`. Heads, frames and ends are the contract's own records."""

from typing import Any, Sequence

from . import _raw
from ._json import write

_transport = _raw.load("mcp_transport")

Headers = Sequence[tuple[str, str]]


def _list(headers: Headers) -> list[Any]:
    return [_transport.Header(name, value) for name, value in headers]


def peer() -> str:
    """What is at the other end: `stdio` or `http`."""
    return _raw.ask("mcp_transport.peer", _transport.peer).name.lower()


def open(frame: Any, headers: Headers = ()) -> str:
    """Sends a request and returns the stream that its answer comes on."""
    return _raw.ask("mcp_transport.open", _transport.open, write(frame, "the frame"), _list(headers))


def send(frame: Any, headers: Headers = ()) -> Any:
    """Sends what has no answer. Returns the head that HTTP said to it, or None."""
    return _raw.ask("mcp_transport.send", _transport.send, write(frame, "the frame"), _list(headers))


def listen(headers: Headers = (), after: str = "") -> str:
    """Opens the stream of what the server says by itself."""
    return _raw.ask("mcp_transport.listen", _transport.listen, _list(headers), after)


def next(streams: Sequence[str], timeout_ms: float) -> Any:
    """The next thing on any of these streams, or None when nothing came in time."""
    return _raw.ask("mcp_transport.next", _transport.next, list(streams), float(timeout_ms))


def cancel(stream: str) -> None:
    """Stops a stream."""
    _raw.ask("mcp_transport.cancel", _transport.cancel, stream)
