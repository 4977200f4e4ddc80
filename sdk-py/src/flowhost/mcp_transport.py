"""A way to one MCP server whose process or connection the host owns: JSON-RPC frames on streams. Only for plugins
of the kind `mcp-adapter`. Heads, frames and ends are the contract's own records."""

from typing import Any, Sequence

from . import _raw
from ._json import write

_transport = _raw.load("mcp_transport")

Headers = Sequence[tuple[str, str]]

# Frames of which not all pieces have come, by stream.
_begun: dict[str, str] = {}


def _list(headers: Headers) -> list[Any]:
    return [_transport.Header(name, value) for name, value in headers]


def at(url: str) -> None:
    """Says for this call that the server is at this address. Without it the server is a process."""
    _raw.ask("mcp_transport.at", _transport.at, url)


def open(frame: Any, headers: Headers = ()) -> str:
    """Sends a request and returns the stream that its answer comes on."""
    return _raw.ask("mcp_transport.open", _transport.open, write(frame, "the frame"), _list(headers))


def send(frame: Any, headers: Headers = ()) -> Any:
    """Sends what has no answer. Returns the head that HTTP said to it, or None."""
    return _raw.ask("mcp_transport.send", _transport.send, write(frame, "the frame"), _list(headers))


def listen(frame: Any = None, headers: Headers = ()) -> str:
    """Hears what the server says by itself; `frame` asks for it in the era that has a request for that."""
    asked = "" if frame is None else write(frame, "the frame")
    return _raw.ask("mcp_transport.listen", _transport.listen, asked, _list(headers))


def next(streams: Sequence[str], timeout_ms: float) -> Any:
    """The next thing on any of these streams, or None when nothing came in time. A frame is whole: one that came in
    pieces is joined."""
    while True:
        arrival = _raw.ask("mcp_transport.next", _transport.next, list(streams), float(timeout_ms))
        frame = None if arrival is None else arrival.event.value
        if not hasattr(frame, "more"):
            return arrival
        text = _begun.pop(arrival.stream, "") + frame.json
        if not frame.more:
            frame.json = text
            return arrival
        _begun[arrival.stream] = text


def cancel(stream: str) -> None:
    """Stops a stream."""
    _raw.ask("mcp_transport.cancel", _transport.cancel, stream)
