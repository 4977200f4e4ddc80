"""What the plugin does, for whoever reads it next."""

from dataclasses import dataclass

from flowhost import Invalid, define_tool


@dataclass
class Text:
    text: str


@dataclass
class Counted:
    words: int
    characters: int


@define_tool(
    name="count",
    description="Counts the words and characters of a text.",
    input=Text,
    output=Counted,
    effects="none",
    read_only=True,
    open_world=False,
)
def plugin(given: Text) -> Counted:
    words = given.text.split()
    if not words:
        raise Invalid("the text is empty")
    return Counted(words=len(words), characters=len(given.text))
