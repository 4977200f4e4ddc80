"""What an author writes a plugin with. Each host module (`from flowhost import log`), once imported, makes the
component ask for its right; nothing else does."""

from ._define import (
    Agent,
    Finding,
    Guardrail,
    McpAdapter,
    Output,
    Subject,
    Tool,
    Verdict,
    define_agent,
    define_guardrail,
    define_mcp_adapter,
    define_tool,
    deny,
    passed,
    rewrite,
)
from .errors import Conflict, Denied, Failed, FlowhostError, Invalid, LimitReached, Transient
from .types import Content, Context, Message, Outgoing, Task, content

__version__ = "0.1.0"

__all__ = [
    "Agent", "Conflict", "Content", "Context", "Denied", "Failed", "Finding", "FlowhostError", "Guardrail", "Invalid",
    "LimitReached", "McpAdapter", "Message", "Outgoing", "Output", "Subject", "Task", "Tool", "Transient", "Verdict",
    "content", "define_agent", "define_guardrail", "define_mcp_adapter", "define_tool", "deny", "passed", "rewrite",
]  # fmt: skip
