"""Where the host functions come from: the component's own imports, or, outside of one, the bindings that
travel with this package, whose functions a fake host replaces."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, TypeVar

IN_COMPONENT = sys.platform == "wasi"

if not IN_COMPONENT:
    sys.path.append(str(Path(__file__).with_name("_bindings")))

from componentize_py_types import Err  # noqa: E402

from .errors import Failed, from_raw  # noqa: E402

T = TypeVar("T")


class Phase:
    """Whether a call of an export is under way. The top level of a component runs while it is built."""

    in_call = not IN_COMPONENT


def load(name: str) -> ModuleType:
    """The functions of one capability."""
    return importlib.import_module(f"wit_world.imports.{name}")


def ask(what: str, function: Callable[..., T], *values: Any) -> T:
    """Calls a host function; its errors become classes."""
    if not Phase.in_call:
        raise Failed(
            f"{what} was called at the top level of a module, which runs while the plugin is built and has no "
            "host: move it into the plugin's function"
        )
    try:
        return function(*values)
    except Err as error:
        raise from_raw(error.value) from None
