"""An agent with a type for all that comes and goes."""

from dataclasses import dataclass
from typing import Any

from flowhost import Message, Outgoing, Output, Task, define_agent, model, state


@dataclass
class Config:
    model: str


@dataclass
class Question:
    question: str


@dataclass
class Answer:
    answer: str
    started: str


def start(config: Config, context: Any) -> None:
    state.set("agent", "model", config.model)
    state.set("agent", "actor", context.actor)


def text(key: str) -> str:
    found = state.get("agent", key)
    return found.text() if found else ""


async def plan(task: Task) -> Output:
    name = text("model")
    answer = model.complete(name, [model.Turn("system", "Answer."), model.Turn("user", task.input.question)])
    return Output(Answer(answer.content, text("actor")), [f"asked {name}"])


def message(it: Message) -> list[Outgoing]:
    return [Outgoing("answers", {"heard": it.payload}, it.id)]


plugin = define_agent(config=Config, input=Question, output=Answer, on_start=start, on_plan=plan, on_message=message)
