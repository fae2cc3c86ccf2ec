"""What the docstrings of one module share, written once and shown whole by ``help``."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def completed(arguments: Mapping[str, str], *, returns: str, raises: str) -> Callable[[Function], Function]:
    """A decorator that adds to a docstring the shared arguments, the result and the errors.

    What a function says itself stays: its own of the "Args", its own "Returns" or "Raises".
    """

    def decorate(function: Function) -> Function:
        said, _, rest = (inspect.getdoc(function) or "").partition("\n\nArgs:\n")
        own, _, ending = rest.partition("\n\n")
        lines = {name: f"  {name}: {text}" for name, text in arguments.items()}
        lines |= {re.findall(r"\w+", text)[0]: text for text in re.split(r"\n(?=  \S)", own) if text}
        names = [name for name in inspect.signature(function).parameters if name in lines]
        parts = [said]
        if names:
            parts.append("\n".join(["Args:", *(lines[name] for name in names)]))
        if ending:
            parts.append(ending)
        parts += [f"{title}\n  {text}" for title, text in (("Returns:", returns), ("Raises:", raises))
                  if title not in ending]  # fmt: skip
        function.__doc__ = "\n\n".join(parts)
        return function

    return decorate
