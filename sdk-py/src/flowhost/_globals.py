"""What everybody knows of Python and a component has not: time, randomness, standard output. Each is the host's
where plugin.toml asks for the right, and an error that names the line otherwise. The engine alone would answer
with what was true when the plugin was built, or end the call without a word."""

import datetime
import io
import os
import random
import sys
import time
from typing import Any, Callable, Collection

from ._raw import Phase
from .errors import Failed


def _refuse(what: str, line: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        if not Phase.in_call:
            raise Failed(f"{what} was used at the top level of a module, which runs while the plugin is built: move it into the plugin's function")
        raise Failed(f"{what} was used, and this plugin does not ask for it: add `{line}` below [needs] in plugin.toml, and the right to the profile")

    return refuse


def _no_sleep(_: float) -> None:
    raise Failed("time.sleep was used, and a call of a plugin has no timers: let the plan wait or repeat (retry, schedule)")


def route(asked: Collection[str]) -> None:
    """Routes them all; `asked` are the rights of plugin.toml whose globals the plugin mentions."""
    _route_time(*_clock(asked))
    _route_random(_bytes(asked))
    _route_output("log" in asked)
    time.sleep = _no_sleep


def _clock(asked: Collection[str]) -> tuple[Callable[[], float], Callable[[], float]]:
    if "clock" in asked:
        from . import clock

        return lambda: clock.now_ms() / 1000, lambda: clock.elapsed_ms() / 1000
    refuse = _refuse("the time", 'clock = "granted"')
    return refuse, refuse


def _route_time(now: Callable[[], float], elapsed: Callable[[], float]) -> None:
    time.time = now
    time.time_ns = lambda: int(now() * 1e9)
    time.monotonic = time.perf_counter = elapsed
    native = datetime.datetime

    class HostDatetime(native):
        """`datetime` whose present is the host's."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(now(), tz) if tz else cls.utcnow()

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(now(), datetime.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.utcnow()

    class HostDate(datetime.date):
        """`date` whose today is the host's."""

        @classmethod
        def today(cls) -> Any:
            there = HostDatetime.utcnow()
            return cls(there.year, there.month, there.day)

    datetime.datetime, datetime.date = HostDatetime, HostDate  # type: ignore[misc]


def _bytes(asked: Collection[str]) -> Callable[[int], bytes]:
    if "random" in asked:
        from . import random as host

        return host.bytes
    return _refuse("randomness", 'random = "granted"')


def _route_random(draw: Callable[[int], bytes]) -> None:
    os.urandom = draw
    random._urandom = draw  # type: ignore[attr-defined]
    # It asks `_urandom` at each draw, so it has no state that a snapshot could keep.
    source = random.SystemRandom()
    for name in dir(random):
        method = getattr(source, name, None)
        if not name.startswith("_") and callable(method) and not isinstance(getattr(random, name), type):
            setattr(random, name, method)


class _Lines(io.TextIOBase):
    """Standard output as log lines; without the right there is no one to read them."""

    def __init__(self, write: Callable[[str], None] | None) -> None:
        self._write, self._rest = write, ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        if self._write is not None and Phase.in_call:
            for line in whole:
                self._write(line)
        return len(text)

    def flush(self) -> None:
        if self._rest:
            self.write("\n")


def _route_output(asked: bool) -> None:
    if asked:
        from . import log

        sys.stdout, sys.stderr = _Lines(log.info), _Lines(log.warn)
    else:
        sys.stdout, sys.stderr = _Lines(None), _Lines(None)
