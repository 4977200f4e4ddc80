"""Files below the granted guest paths. Needs `files = "granted"` below `[needs]` and `[[files]]` in the
profile. Paths are absolute guest paths with `/`; what leaves the grant is refused."""

import builtins
from dataclasses import dataclass

from . import _raw

_files = _raw.load("files")


@dataclass(frozen=True)
class Entry:
    """`kind` is `file`, `directory`, or `other` for what cannot be opened. `target`: where a link led."""

    name: str
    kind: str
    size: int
    target: str | None


def _entry(raw: "_files.Entry") -> Entry:  # type: ignore[name-defined]
    return Entry(raw.name, raw.kind.name.lower(), int(raw.size), raw.target)


def _bytes(contents: bytes | str) -> bytes:
    return contents.encode() if isinstance(contents, str) else contents


def roots() -> builtins.list[str]:
    """The granted guest paths, sorted."""
    return _raw.ask("files.roots", _files.roots)


def read(path: str) -> bytes:
    """Reads a file of at most `limits.output` bytes."""
    return bytes(_raw.ask("files.read", _files.read, path))


def read_text(path: str) -> str:
    """Reads a file as UTF-8."""
    return read(path).decode()


def read_range(path: str, offset: int, length: int) -> bytes:
    """Reads at most `length` bytes from `offset` on; fewer at the file's end."""
    return bytes(_raw.ask("files.read_range", _files.read_range, path, str(offset), length))


def list(path: str) -> builtins.list[Entry]:
    """Lists a directory, sorted by name."""
    return [_entry(it) for it in _raw.ask("files.list", _files.list, path)]


def stat(path: str) -> Entry:
    """Describes a path."""
    return _entry(_raw.ask("files.stat", _files.stat, path))


def write(path: str, contents: bytes | str) -> None:
    """Creates or replaces a file. Needs `access = "write"`, as all that follow."""
    _raw.ask("files.write", _files.write, path, _bytes(contents))


def append(path: str, contents: bytes | str) -> None:
    """Appends to a file, creating it where it is not there."""
    _raw.ask("files.append", _files.append, path, _bytes(contents))


def make_directory(path: str) -> None:
    """Creates a directory and its parents."""
    _raw.ask("files.make_directory", _files.make_directory, path)


def remove(path: str) -> None:
    """Removes a file or an empty directory."""
    _raw.ask("files.remove", _files.remove, path)
