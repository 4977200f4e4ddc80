"""Sends messages to other actors. What arrives comes through an agent's `on_message`. Needs
`messages = "granted"` below `[needs]` and `[messages] publish` in the profile."""

from typing import Any

from . import _raw
from ._json import parse, write
from .types import Message

_messaging = _raw.load("messaging")


def publish(topic: str, payload: Any, *, correlation: str = "") -> str:
    """Publishes to a topic and returns the message's id."""
    return _raw.ask("messages.publish", _messaging.publish, topic, correlation, write(payload, "the message"))


def request(topic: str, payload: Any, *, timeout_ms: float = 5_000) -> Message:
    """Publishes and waits for one answer, never past the call's deadline."""
    raw = _raw.ask("messages.request", _messaging.request, topic, write(payload, "the message"), float(timeout_ms))
    return Message(raw.id, raw.topic, raw.sender, raw.correlation, parse(raw.payload, "the answer"))
