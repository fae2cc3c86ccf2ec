"""Another framework's optimizer, as it is written, printed or saved there, as a line of jaxdict; and what differs.

    >>> print(jd.port.translate("torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)"))

What is read is never run: Python text is parsed, and only literals in it are evaluated; pickles are refused.
"""

from dataclasses import dataclass

from jaxdict.port._compare import differences
from jaxdict.port._native import native
from jaxdict.port._reading import Call, Recipe, plain_name, read, read_source
from jaxdict.port._writing import build, line, remarks

__all__ = ["Port", "read_source", "translate"]


@dataclass(frozen=True)
class Port:
    """What ``translate`` found.

    Attributes:
      source: what was read, ``"torch.optim.SGD"``.
      line: the expression that equals it, by the other framework's names: ``"jd.compat.torch.optim.SGD(lr=0.1)"``.
      native: one by jaxdict's and optax's own names, where one is the same to rounding; else None.
      differences: sentences: where optax's function of the name, and jaxdict's, compute or default to something else.
      notes: what has to be known to use the line.
    """

    source: str
    line: str
    native: str | None
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """All of it as Python: the expressions, and the rest as comments."""
        rows = [f"# {self.source}", *(f"# {note}" for note in self.notes), self.line, ""]
        if self.native:
            rows += ["# the same by jaxdict's own names", self.native, ""]
        else:
            rows += ["# nothing by jaxdict's own names is exactly this", ""]
        rows += ["# differences", *(f"# - {one}" for one in self.differences)]
        return "\n".join(rows)


def translate(text: str, *, name: str | None = None) -> Port:
    """Read an optimizer of PyTorch or Keras and say it in jaxdict.

    Args:
      text: a constructor call, with its scheduler's after it if there is one; ``print(optimizer)`` of torch; JSON of
        Keras's ``get_config()`` or ``serialize``, or of torch's ``state_dict()``.
      name: the optimizer's name, where the text does not say it: ``"AdamW"``.

    Returns:
      A ``Port``.

    Raises:
      ValueError: text that is none of these, an unknown optimizer or argument (with the closest), a value that is not
        written as a literal, or not allowed.
    """
    recipe = read(text, name=name)
    for group in recipe.groups:
        build((group, recipe.schedule), group)
    first = recipe.groups[0]
    notes = [*recipe.notes, *remarks(recipe)]
    lines = [line(group, recipe.schedule) for group in recipe.groups]
    own = [native(group, recipe.schedule) for group in recipe.groups]
    return Port(
        source=plain_name(first.framework, first.kind, first.name),
        line=_together(lines),
        native=None if None in own else _together([one for one in own if one is not None]),
        differences=_different(recipe),
        notes=tuple(notes),
    )


def _together(lines: list[str]) -> str:
    """One optimizer for each group of parameters."""
    if len(lines) == 1:
        return lines[0]
    return f"optax.partition({{{', '.join(f'{i}: {one}' for i, one in enumerate(lines))}}}, groups)"


def _different(recipe: Recipe) -> tuple[str, ...]:
    calls: list[Call] = [*recipe.groups, *([recipe.schedule] if recipe.schedule else [])]
    found = [sentence for call in calls for sentence in differences(call)]
    return tuple(dict.fromkeys(found))
