"""What the guardrail looks for, for whoever reads it next."""

import json
from dataclasses import dataclass

from flowhost import Finding, Subject, Verdict, define_guardrail, deny, passed


@dataclass
class Config:
    """The guardrail's configuration: `with:` in the plan."""

    #: Most characters that a value may have as JSON.
    longest: int


@define_guardrail(config=Config)
def plugin(subject: Subject, config: Config) -> Verdict:
    length = len(json.dumps(subject.value, ensure_ascii=False, separators=(",", ":")))
    if length <= config.longest:
        return passed()
    return deny(Finding("too-long", f"has {length} characters, and {config.longest} are the most"))
