"""A model as a picture: a box for each layer, an arrow for each array that one takes from another."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jaxdict import _check
from jaxdict.layers import Model
from jaxdict.models._parts import INPUT, chain
from jaxdict.models._walk import Step, count, shape_of, walk
from jaxdict.plots import _canvas
from jaxdict.plots._layers import layout

_HIGH, _GAP, _DROP = 0.64, 0.35, 0.42  # inches: a box, beside it, below it
_LETTER, _LONGEST = 0.076, 32  # the width of a character, and how many a line in a box has at most
_FILLS = {"input": "#e8f0fa", "output": "#fbece2", "layer": "#ffffff", "model": "#f1f2f4"}


class _Box(NamedTuple):
    kind: str
    lines: tuple[str, ...]
    sources: tuple[Any, ...]
    shares: Any = None


def graph(
    model: Any,
    input_shape: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    depth: int = 1,
    input_dtype: Any = "float32",
    title: str = "",
) -> Any:
    """Draw a model: a box for each layer with the shape it gives, an arrow for each array that it takes.

    Args:
      model: any model; a foreign one is one box.
      input_shape: of one example, or a dict of shapes by name.
      path: where to write the picture, its format by its suffix, all or nothing.
      depth: how many levels of models within models are opened; 1 shows the model's own parts.
      input_dtype: of the inputs; a dict of types by name where they differ.
      title: above the picture.

    Returns:
      A ``matplotlib.figure.Figure``. A node that uses another's parameters is joined to it by a dashed line.

    Raises:
      ValueError: an input shape that the model does not take, a depth below 1. TypeError: a shape that is none.
      ModuleNotFoundError: matplotlib is not installed.
    """
    depth = _check.integer("depth", depth, low=1)
    boxes = dict(_boxes(walk(model, input_shape, input_dtype), depth))
    wide = 0.25 + _LETTER * max(16, *(len(_cut(line)) for box in boxes.values() for line in box.lines))
    placed = layout({name: box.sources for name, box in boxes.items()}, dict.fromkeys(boxes, wide), _GAP)
    left, right = min(placed.across.values()) - 0.7 * wide, max(placed.across.values()) + 0.7 * wide
    height = (max(placed.rows.values()) + 1) * (_HIGH + _DROP)
    top = 0.45 if title else 0.15
    figure = _canvas.figure(max(right - left, 3.2), height + top)
    figure.set_layout_engine("none")
    axis = figure.add_axes((0, 0, 1, height / (height + top)))
    middle, half = 0.5 * (left + right), 0.5 * max(right - left, 3.2)
    axis.set_xlim(middle - half, middle + half)
    axis.set_ylim(-height + 0.5 * _DROP, 0.5 * _DROP)
    axis.set_axis_off()

    def place(name):
        return placed.across[name], -placed.rows[name] * (_HIGH + _DROP) - 0.5 * _HIGH

    for name, box in boxes.items():
        ends = sorted(dict.fromkeys(box.sources), key=lambda source, name=name: _last(placed, source, name))
        for i, source in enumerate(ends):
            x, y = place(name)
            enters = x + (i - 0.5 * (len(ends) - 1)) * 0.5 * wide / max(2, len(ends))
            _arrow(axis, place(source), placed.routes[source, name], (enters, y))
        if box.shares in boxes:
            _shared(axis, place(box.shares), place(name))
    for name, box in boxes.items():
        _draw(axis, box, wide, *place(name))
    if title:
        figure.text(0.02, 1 - 0.12 / (height + top), title, va="top", fontsize=13, fontweight="bold", color=_canvas.INK)
    if path is not None:
        _canvas.save(figure, path)
    return figure


def _last(placed: Any, source: Any, name: Any) -> float:
    """Where an edge comes from as it reaches its box."""
    route = placed.routes[source, name]
    return route[-1][0] if route else placed.across[source]


# --------------------------------------------------------------------------------------------------------- boxes


def _boxes(whole: Step, depth: int) -> Iterator[tuple[Any, _Box]]:
    """Boxes by name, each after its sources: inputs, layers, outputs."""
    wiring, inner = whole.wiring, whole.inner
    if wiring is None:  # a layer is a chain of one
        wiring = chain([(whole.owner, whole.layer)])
        inner = (whole._replace(path=(whole.owner,), sources=(INPUT,)),)
    ends: dict[str, tuple[Any, ...]] = {}
    for name, value in wiring.by_name(whole.inputs).items():
        yield ("input", name), _Box("input", (name, _shape(value)), ())
        ends[name] = (("input", name),)
    yield from _inside(inner, ends, depth)
    values, nodes = whole.outputs, wiring.outputs
    if isinstance(nodes, str):
        values, nodes = {"output": values}, {"output": nodes}
    for name, node in nodes.items():
        yield ("output", name), _Box("output", (name, _shape(values[name])), ends[node])


def _inside(
    parts: Iterable[Step], ends: dict[str, tuple[Any, ...]], depth: int, owner: tuple[str, ...] = ()
) -> Iterator[tuple[Any, _Box]]:
    """The boxes of a model's parts. ``ends`` says by name what gives each value, and learns of the parts.

    ``owner`` is the path of the model whose parameters they use, their own or one that it shares.
    """
    for part in parts:
        name, wiring, used = part.path[-1], part.wiring, (*owner, part.owner)
        given = [ends[source] for source in part.sources]
        sources = tuple(end for found in given for end in found)
        if wiring is None or depth == 1:
            kind = "model" if part.inner else "layer"
            shared = used != part.path and (not part.own or count((part.params, part.state)) > 0)
            what = f"shares {'/'.join(used)}" if shared else _made(part.layer)
            lines = dict.fromkeys(("/".join(part.path), what))  # a name that says it all stands once
            box = _Box(kind, (*lines, _shape(part.outputs)), sources, ("layer", used) if shared else None)
            yield ("layer", part.path), box
            ends[name] = (("layer", part.path),)
            continue
        names = (wiring.inputs,) if isinstance(wiring.inputs, str) else wiring.inputs
        inner = dict(zip(names, given, strict=True)) if len(names) == len(given) else dict.fromkeys(names, sources)
        yield from _inside(part.inner, inner, depth - 1, used)
        nodes = [wiring.outputs] if isinstance(wiring.outputs, str) else wiring.outputs.values()
        ends[name] = tuple(end for node in nodes for end in inner[node])


def _made(layer: Model) -> str:
    """A layer's constructor with the arguments that say most: those by position, and numbers."""
    if layer.spec is None:
        return layer.name
    told = [_value(value) for value in layer.spec.args if not isinstance(value, Model)]
    told += [f"{name}={value}" for name, value in layer.spec.options if type(value) in (int, float)]
    return f"{layer.spec.constructor}({', '.join(told)})" if told else layer.spec.constructor


def _value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(map(_value, value))
    return getattr(value, "__name__", None) or str(value)


def _shape(value: Any) -> str:
    shape = shape_of(value)
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
        return " × ".join(map(str, shape)) or "1"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shape(part)}" for name, part in value.items())
    return str(shape)


# ------------------------------------------------------------------------------------------------------- drawing


def _draw(axis: Any, box: _Box, wide: float, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    edge = {"input": _canvas.BLUE, "output": _canvas.ORANGE}.get(box.kind, _canvas.GREY)
    round_ = _HIGH / 2 if box.kind in ("input", "output") else 0.07
    axis.add_patch(
        FancyBboxPatch(
            (x - 0.5 * wide, y - 0.5 * _HIGH), wide, _HIGH, boxstyle=f"round,pad=0,rounding_size={round_}",
            facecolor=_FILLS[box.kind], edgecolor=edge, linewidth=1.2, zorder=3,
        )
    )  # fmt: skip
    step = _HIGH / (len(box.lines) + 0.6)
    for i, line in enumerate(box.lines):
        first, last = i == 0, i == len(box.lines) - 1
        at = y + (0.5 * (len(box.lines) - 1) - i) * step
        axis.text(
            x, at, _cut(line), ha="center", va="center", zorder=4, fontsize=8.5 if first else 7.5,
            fontweight="bold" if first else "normal",
            color=_canvas.INK if first else _canvas.BLUE if last else "#555b63",
        )  # fmt: skip


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _arrow(axis: Any, start: tuple[float, float], route: list[tuple[float, int]], end: tuple[float, float]) -> None:
    """From below one box to above another, bending between the rows alone."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    rows = [(x, -row * (_HIGH + _DROP)) for x, row in route]
    points = [(start[0], start[1] - 0.5 * _HIGH)]
    for x, upper in rows:
        points += [(x, upper), (x, upper - _HIGH)]
    points.append((end[0], end[1] + 0.5 * _HIGH))
    vertices, codes = [points[0]], [Path.MOVETO]
    for i, (a, b) in enumerate(itertools.pairwise(points)):
        if i % 2:  # beside a box
            vertices.append(b)
            codes.append(Path.LINETO)
        else:
            half = 0.5 * (a[1] + b[1])
            vertices += [(a[0], half), (b[0], half), b]
            codes += [Path.CURVE4] * 3
    axis.add_patch(
        FancyArrowPatch(
            path=Path(vertices, codes), arrowstyle="-|>", mutation_scale=9, color="#5b626b", linewidth=1.1, zorder=2,
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def _shared(axis: Any, owner: tuple[float, float], user: tuple[float, float]) -> None:
    axis.plot(*zip(owner, user, strict=True), color=_canvas.GREEN, linestyle=(0, (3, 3)), linewidth=1.4, zorder=1)
