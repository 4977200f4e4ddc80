"""A tool that answers what it was asked, and tells what it can see from inside the sandbox: the clock,
the environment, the root folder and the network."""

import json
import os
import socket
import time

from wit_world.exports import Tool as ToolRole
from wit_world.imports.types import Annotations, Content, Descriptor, Effects


def attempt(what):
    try:
        return {"ok": what()}
    except BaseException as error:  # a trap cannot be caught, everything else is told
        return {"error": type(error).__name__}


def look():
    return {
        "environment": sorted(os.environ),
        "folder": attempt(lambda: sorted(os.listdir("/"))),
        "passwd": attempt(lambda: open("/etc/passwd").read()),
        "socket": attempt(lambda: socket.create_connection(("127.0.0.1", 9), 1).fileno()),
        "time": attempt(time.time),
    }


class Tool(ToolRole):
    def describe(self):
        return [Descriptor("run", "run", "run", "{}", "", Effects.NONE, Annotations(None, None, None, None))]

    def call(self, ctx, name, input):
        asked = json.loads(input)
        sees = look() if isinstance(asked, dict) and asked.get("look") else None
        return Content(json.dumps({"input": asked, "sees": sees}), [])
