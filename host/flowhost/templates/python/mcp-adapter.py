"""Speaks to one MCP server over the transport that the host owns."""

import json
from typing import Any

from flowhost import Content, Failed, Transient, content, define_mcp_adapter, mcp_transport
from flowhost.types import Descriptor
from wit_world.exports.mcp_adapter import More, Session, ToolPage
from wit_world.imports.mcp_transport import Event_End, Event_Frame, Event_Head
from wit_world.imports.types import Annotations, Effects

#: The protocol revision that this adapter speaks.
PROTOCOL = "2025-11-25"
#: Longest wait for one answer; the call's own deadline may be shorter.
WAIT_MS = 30_000


class Adapter:
    def connect(self, config: Any, context: Any) -> Session:
        client = {"name": "{{name}}", "version": "0.1.0"}
        session = session_of(ask("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}))
        # A server may wait for it before it answers anything else.
        mcp_transport.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return session

    def list_tools(self, session: Session, cursor: str | None, context: Any) -> ToolPage:
        result = ask("tools/list", {} if cursor is None else {"cursor": cursor})
        return ToolPage([descriptor_of(tool) for tool in result["tools"]], More(result.get("nextCursor", ""), None))

    def call_tool(self, session: Session, name: str, input: Any, context: Any) -> Content:
        return content_of(ask("tools/call", {"name": name, "arguments": input}))


def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Sends one request and waits for its answer."""
    stream = mcp_transport.open({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        return answer_on(stream)
    finally:
        mcp_transport.cancel(stream)


def answer_on(stream: str) -> dict[str, Any]:
    while True:
        arrival = mcp_transport.next([stream], WAIT_MS)
        event = None if arrival is None else arrival.event
        if event is None or isinstance(event, Event_End):
            raise Transient("the server does not answer")
        if isinstance(event, Event_Head) and not 200 <= event.value.status < 300:
            raise Failed(f"the server answered {event.value.status}")
        answer = answer_of(json.loads(event.value.json)) if isinstance(event, Event_Frame) else None
        if answer is not None:
            return answer


def answer_of(frame: dict[str, Any]) -> dict[str, Any] | None:
    """What a frame says to the request; None for what is not an answer (a notification of the server)."""
    if "error" in frame:
        raise Failed(f"the server: {frame['error'].get('message', 'no reason given')}")
    return frame.get("result")


def session_of(result: dict[str, Any]) -> Session:
    protocol = result.get("protocolVersion", "")
    if protocol != PROTOCOL:
        raise Failed(f"the server speaks {protocol!r}, and this adapter {PROTOCOL}")
    server = result.get("serverInfo", {})
    capabilities = json.dumps(result.get("capabilities", {}))
    return Session(server.get("name", ""), server.get("version", ""), protocol, capabilities, result.get("instructions", ""), "")


def descriptor_of(tool: dict[str, Any]) -> Descriptor:
    said = tool.get("annotations", {})
    hints = [said.get(name) for name in ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")]
    output = json.dumps(tool["outputSchema"]) if "outputSchema" in tool else ""
    schema = json.dumps(tool.get("inputSchema", {}))
    # A server's word is no reason to repeat a call.
    return Descriptor(
        tool["name"], tool.get("title", ""), tool.get("description", ""), schema, output, Effects.ONCE, Annotations(*hints)
    )


def content_of(result: dict[str, Any]) -> Content:
    texts = [part["text"] for part in result.get("content", []) if part.get("type") == "text"]
    if result.get("isError"):
        raise Failed("\n".join(texts))
    return content(result.get("structuredContent"), *texts)


plugin = define_mcp_adapter(Adapter())
