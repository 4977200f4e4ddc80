"""What the contract carries, with JSON texts as values. Parts, descriptors and sessions are the contract's own
records (`wit_world`), re-exported under their names."""

from dataclasses import dataclass, field
from typing import Any

from . import _raw  # finds `wit_world`
from wit_world.imports.types import (  # noqa: E402
    Body_Audio as Audio,
    Body_EmbeddedResource as EmbeddedResource,
    Body_Image as Image,
    Body_ResourceLink as ResourceLink,
    Body_Text as Text,
    Context,
    Descriptor,
    Hints,
    Media,
    Part,
    Reader,
    ResourceContents,
    ResourceInfo,
)

__all__ = [
    "Audio", "Content", "Context", "Descriptor", "EmbeddedResource", "Hints", "Image", "Media", "Message", "Outgoing",
    "Part", "Reader", "ResourceContents", "ResourceInfo", "ResourceLink", "Task", "Text", "content",
]  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a tool gives back: a value that fits its output type, and parts beside it."""

    value: Any
    parts: list[Part] = field(default_factory=list)


def content(value: Any, *parts: Part | str) -> Content:
    """A value with parts beside it; returned in place of the plain value. A text is a part of its own."""
    return Content(value, [Part(Text(part), None) if isinstance(part, str) else part for part in parts])


@dataclass(frozen=True)
class Message:
    """A message between actors. `sender` is the host's word, not the sender's."""

    id: str
    topic: str
    sender: str
    correlation: str
    payload: Any


@dataclass(frozen=True)
class Outgoing:
    """A message that the host delivers after the call, if the profile's `messages.publish` allows."""

    topic: str
    payload: Any
    correlation: str = ""


@dataclass(frozen=True)
class Task:
    """A step's work: the rendered `with:`, the plan's prompt file, the JSON Schema of the wanted output."""

    id: str
    input: Any
    prompt: str = ""
    prompt_version: str = ""
    schema: Any = None
