"""What the agent does, for whoever reads it next."""

from dataclasses import dataclass

from flowhost import Invalid, Task, define_agent, log, model


@dataclass
class Question:
    """The step's input: `with:` in the plan."""

    question: str


@dataclass
class Answered:
    answer: str


def on_plan(task: Task) -> Answered:
    question = task.input.question
    if not question.strip():
        raise Invalid("the question is empty")
    log.info("asking the model")
    return Answered(model.complete("mock/any", question).content)


plugin = define_agent(input=Question, output=Answered, on_plan=on_plan)
