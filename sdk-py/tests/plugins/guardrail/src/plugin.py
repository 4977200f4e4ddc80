"""A guardrail with each of its three answers."""

import json
from dataclasses import dataclass
from typing import Any

from flowhost import Finding, Subject, Verdict, define_guardrail, deny, passed, rewrite


@dataclass
class Config:
    stop: str
    hide: str | None = None


@define_guardrail(config=Config)
def plugin(subject: Subject, config: Config) -> Verdict:
    text = json.dumps(subject.value, ensure_ascii=False)
    if config.stop in text:
        return deny(Finding("stopped-word", f'it says "{config.stop}"'))
    if config.hide is not None and config.hide in text:
        value: Any = json.loads(text.replace(config.hide, "…"))
        return rewrite(value, Finding("hidden-word", "one word less", "info"))
    return passed()
