"""A picture of an entry: what its formula does, beside the formula."""

import ast
import os
from collections.abc import Callable
from typing import Any

from jaxdict import _expression, _registry
from jaxdict._entry import Entry
from jaxdict.plots import _canvas, _draws, _functions, _steps

# kind -> how an entry of it is drawn. Each gets a figure and the entry.
_KINDS: dict[str, Callable[[Any, Entry], None]] = {
    "activation": _functions.activation,
    "loss": _functions.loss,
    "metric": _functions.metric,
    "penalty": _functions.penalty,
    "distribution": _draws.distribution,
    "initializer": _draws.initializer,
    "noise": _draws.noise,
    "normalization": _draws.normalization,
    "optimizer": _steps.optimizer,
    "schedule": _steps.schedule,
}
_LEFT = {
    "activation": "f(x)", "loss": "C", "metric": "M", "penalty": r"\Omega", "distribution": "p(x)", "noise": "y",
    "normalization": "y", "initializer": "W", "schedule": r"\eta(t)",
}  # fmt: skip
_LONG = 90  # characters of terminal text that go on a line of equations


def draw(entry: Entry | str, path: str | os.PathLike[str] | None = None) -> Any:
    """Draw an entry: values and derivatives, densities with draws, curves, steps on a bowl, before and after.

    Activations are drawn with their derivative and kinks; losses against the error, the logit or the probability of
    the right class; penalties with the shrinkage that they cause; initializers and distributions as histograms with
    the density; optimizers by the path that they take on a quadratic bowl.

    Args:
      entry: an entry or its name.
      path: where to write the picture, 1000 pixels wide or a scalable format by its suffix, all or nothing; folders
        on the way are made.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      KeyError: no such entry; the message names the closest ones.
      ValueError: an entry that there is no picture of here (a term, a layer, an augmentation), or an unknown format.
      ModuleNotFoundError: matplotlib is not installed.
    """
    entry = _registry.find(entry) if isinstance(entry, str) else entry
    if entry.kind not in _KINDS:
        raise ValueError(_refusal(entry))
    figure = _canvas.figure(10, 5)
    _KINDS[entry.kind](figure, entry)
    _canvas.headline(figure, f"{entry.kind} {entry.name}", _equations(entry))
    if path is not None:
        _canvas.save(figure, path)
    return figure


def _equations(entry: Entry) -> list[str]:
    """The lines over the picture: value and derivative, or the assignments of an update rule."""
    lines = _packed(_LEFT.get(entry.kind, ""), entry.expression, entry.vectors)
    if entry.derivative_expression:
        lines += _packed(_slope(entry), entry.derivative_expression, entry.vectors)
    return lines


def _packed(left: str, expression: str, vectors: tuple[str, ...]) -> list[str]:
    """The parts of an expression as LaTeX, as many on a line as go there."""
    if not expression:
        return []
    parts = [_canvas.typeset(tex) for tex in _expression.statements(expression, vectors, tex=True)]
    lengths = [len(text) for text in _expression.statements(expression, vectors, tex=False)]
    if left and _is_value(expression):
        parts[0] = f"{left} = {parts[0]}"
    lines, length = [parts[0]], lengths[0]
    for part, more in zip(parts[1:], lengths[1:], strict=True):
        if length + more > _LONG:
            lines, length = [*lines, part], more
        else:
            lines[-1], length = rf"{lines[-1]},\qquad {part}", length + more
    return lines


def _is_value(expression: str) -> bool:
    """Whether it says what something is equal to, and is no update rule or relation."""
    last = _expression.parse(expression).body[-1]
    return isinstance(last, ast.Expr) and not isinstance(last.value, ast.Compare)


def _slope(entry: Entry) -> str:
    if entry.kind == "activation":
        return r"\frac{\partial f}{\partial x}" if entry.vectors else r"f\,'(x)"
    by = entry.symbols.get(next(iter(_functions.signature(entry))), "x")
    symbol = {"yhat": r"\hat{y}", "theta": r"\theta"}.get(by, by)
    return rf"\frac{{\partial {_LEFT[entry.kind]}}}{{\partial {symbol}}}"


def _refusal(entry: Entry) -> str:
    if entry.kind == "augmentation":
        return f"the augmentation {entry.name} is drawn by jaxdict.contact_sheet.contact_sheet({entry.name!r})"
    why = "is words alone" if entry.function is None else "is no formula that a picture shows"
    return f"the {entry.kind} {entry.name} {why}; jaxdict show {entry.name} says what it is"
