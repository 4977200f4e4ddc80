"""JSON at the boundary, and values of the author's own types."""

import dataclasses
import json
from typing import Any, Type

from mashumaro.codecs import BasicDecoder, BasicEncoder
from mashumaro.exceptions import InvalidFieldValue, MissingField
from mashumaro.jsonschema import build_json_schema

from .errors import Failed, Invalid


def parse(text: str, what: str) -> Any:
    """Reads a JSON text; `what` names it in the error."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid(f"{what} is not valid JSON: {error}") from None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"a {type(value).__name__}, which JSON cannot say")


def write(value: Any, what: str) -> str:
    """Writes a value; what JSON cannot say is an error instead of a silent loss."""
    try:
        return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise Failed(f"{what} holds {error}") from None


class Shape:
    """A type of the author's: its JSON Schema, and values of it. None is any JSON."""

    def __init__(self, given: Type[Any] | None) -> None:
        self._given = given
        # Made once, while the component is made: both write code for the type.
        self._decoder = None if given is None else BasicDecoder(given)
        self._encoder = None if given is None else BasicEncoder(given)

    def schema(self) -> Any:
        return {} if self._given is None else json.loads(build_json_schema(self._given).to_json())

    def read(self, value: Any, what: str) -> Any:
        if self._decoder is None:
            return value
        try:
            return self._decoder.decode(value)
        except (MissingField, InvalidFieldValue, TypeError, ValueError, KeyError) as error:
            raise Invalid(f"{what} does not fit: {error}") from None

    def plain(self, value: Any, what: str) -> Any:
        if self._encoder is None:
            return value
        try:
            return self._encoder.encode(value)
        except (AttributeError, TypeError, ValueError) as error:
            raise Failed(f"{what} does not fit {getattr(self._given, '__name__', self._given)}: {error}") from None
