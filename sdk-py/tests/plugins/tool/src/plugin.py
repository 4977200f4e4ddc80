"""Every host function of the SDK, by its own name and by the global that follows it."""

import datetime
import random as python_random
import time
import uuid
from dataclasses import dataclass
from typing import Any, Callable

from flowhost import (
    Conflict,
    Denied,
    FlowhostError,
    Invalid,
    Transient,
    budget,
    clock,
    config,
    content,
    define_tool,
    files,
    http,
    log,
    messages,
    model,
    progress,
    random,
    secrets,
    state,
    tools,
)

from broken import broken


@dataclass
class Text:
    text: str
    least: int = 1


@dataclass
class Words:
    words: int


@define_tool(
    name="count",
    title="Count words",
    description="Counts the words of a text.",
    input=Text,
    output=Words,
    effects="none",
    read_only=True,
    open_world=False,
)
async def count(given: Text) -> Any:
    return content(Words(sum(len(word) >= given.least for word in given.text.split())), "counted")


@dataclass
class Where:
    url: str


def told(work: Callable[[], Any]) -> Any:
    """The class of an error and what it says."""
    try:
        return work()
    except Denied as error:
        return {"denied": error.right, "wanted": error.wanted}
    except FlowhostError as error:
        return {error.kind: str(error)}


@define_tool(name="look", description="Asks the host for one thing of each kind.", input=Where, effects="idempotent")
def look(given: Where, context: Any) -> Any:
    log.info("looking", step=context.step, attempt=context.attempt)
    print("by the global")
    progress.report(1, 2, "half of it")
    answer = http.post(given.url, json={"said": "ä€😀"}, headers={"X-Test": "1"})
    first = state.get("notes", "count")
    revision = state.compare_and_swap("notes", "count", first.revision if first else None, "1")
    kept = state.get("notes", "count")
    return {
        "fetched": {"status": answer.status, "body": answer.json(), "kind": answer.header("content-type")},
        "roots": files.roots(),
        "read": files.read_text("/docs/a.txt"),
        "listed": [[it.name, it.kind, it.size] for it in files.list("/docs")],
        "outside": told(lambda: files.read_text("/etc/passwd")),
        "absent": told(lambda: files.read_text("/docs/none.txt")),
        "state": {
            "lost": state.compare_and_swap("notes", "count", None, "2") is None,
            "kept": kept and kept.text(),
            "swapped": revision is not None,
            "keys": state.list("notes"),
            "denied": told(lambda: state.get("other", "x")),
        },
        "time": {
            "same": abs(time.time() * 1000 - clock.now_ms()) < 1_000,
            "year": datetime.datetime.now().year >= 2020 and datetime.date.today().year >= 2020,
        },
        "random": {
            "inside": python_random.random() < 1,
            "uuid": uuid.uuid4().version,
            "bytes": len(random.bytes(3)),
        },
        "config": [config.get("greeting"), config.get("none") is None, config.all()],
        "secrets": [secrets.names(), told(lambda: secrets.reveal("TOKEN"))],
        "budget": budget.left().host_calls > 0,
        "model": model.complete("mock/echo", "hello").content,
        "tools": [it.name for it in tools.list()],
        "called": told(lambda: tools.call("other/none", {})),
        "published": messages.publish("heard.x", {"n": 1}) != "",
        "unheard": told(lambda: messages.publish("elsewhere", {})),
    }


@dataclass
class How:
    how: str


@dataclass
class Fits:
    fits: bool


@define_tool(name="fail", description="Fails in the way that is asked for.", input=How, output=Fits)
async def fail(given: How) -> Any:
    match given.how:
        case "invalid":
            raise Invalid("as asked")
        case "transient":
            raise Transient("as asked")
        case "conflict":
            raise Conflict("as asked")
        case "line":
            broken({})
        case "never":
            await Never()
        case "timer":
            time.sleep(1)
        case "deep":
            dig(0)
        case "shape":
            return 5
    return Fits(True)


class Never:
    """Something that nobody brings."""

    def __await__(self) -> Any:
        yield self


def dig(depth: int) -> int:
    return 1 + dig(depth + 1)


plugin = [count, look, fail]
