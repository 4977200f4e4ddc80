"""An adapter with fixed answers: that its role is whole, and that values go both ways."""

import json
from typing import Any

from flowhost import Invalid, content, define_mcp_adapter
from flowhost.types import Descriptor
from wit_world.exports.mcp_adapter import More, Session, ToolPage
from wit_world.imports.types import Annotations, Effects


class Fixed:
    def connect(self, config: Any, context: Any) -> Session:
        return Session("fixed", "1.0.0", "2025-11-25", '{"tools":{}}', "", json.dumps(config))

    def list_tools(self, session: Session, cursor: str | None, context: Any) -> ToolPage:
        said = Annotations(True, None, None, None)
        echo = Descriptor("echo", "Echo", "Gives back what it was given.", '{"type":"object"}', "", Effects.NONE, said)
        return ToolPage([echo], More("", 1000.0))

    def call_tool(self, session: Session, name: str, input: Any, context: Any) -> Any:
        if name != "echo":
            raise Invalid(f"there is no tool {name}")
        return content({"input": input, "state": session.state}, "echoed")


plugin = define_mcp_adapter(Fixed())
