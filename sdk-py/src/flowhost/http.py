"""One request in, one response out. Needs `http = "granted"` below `[needs]` and an `[[http]]` rule in the
profile. The host sends, injects credentials, and hands redirects back instead of following them."""

import json as _json
from dataclasses import dataclass
from typing import Any, Mapping

from . import _raw

_http = _raw.load("http")


@dataclass(frozen=True)
class Response:
    """What came back; a redirect is an answer like any other."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The values of a header, joined by `, `."""
        values = [value for found, value in self.headers if found.lower() == name.lower()]
        return ", ".join(values) if values else None

    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return _json.loads(self.body)


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
    json: Any = None,
    timeout_ms: float = 0,
) -> Response:
    """Sends a request; `json` is sent as the body. 0 is the call's own deadline. Raises Denied, LimitReached,
    Invalid, Transient, Failed."""
    fields = dict(headers or {})
    if json is not None:
        body = _json.dumps(json)
        if not any(name.lower() == "content-type" for name in fields):
            fields["content-type"] = "application/json"
    data = body.encode() if isinstance(body, str) else body
    pairs = [_http.Header(name, value) for name, value in fields.items()]
    answer = _raw.ask("http.send", _http.send, _http.Request(method.upper(), url, pairs, data, float(timeout_ms)))
    return Response(answer.status, tuple((it.name, it.value) for it in answer.headers), bytes(answer.body))


def get(url: str, **options: Any) -> Response:
    """`send` with `GET`."""
    return send("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """`send` with `POST`."""
    return send("POST", url, **options)
